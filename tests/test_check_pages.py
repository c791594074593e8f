"""The script that checks the built documentation finds what is wrong in a small site."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from sklearn_proxyopt import exceptions

ROOT = Path(__file__).parents[1]
SPEC = spec_from_file_location("check_pages", ROOT / "docs/check_pages.py")
check_pages = module_from_spec(SPEC)
SPEC.loader.exec_module(check_pages)

INDEX = {
    "docnames": ["index", "noise", "other"],
    "titles": ["Start", "Handle noise", "Noise"],
    "alltitles": {"Handle noise": [[1, None]], "Noise": [[2, None]]},
    "indexentries": {"noise": [[1, "index-0", True]], "start": [[0, "index-0", False]]},
    "objects": {"package": [[2, 0, 1, "", "noise"]]},
    "terms": {"nois": [0, 1], "start": 0},
    "titleterms": {"nois": [1, 2], "start": 0},
}


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(
        '<a href="near.html">near</a><a href="https://x.org">x</a>'
    )
    (tmp_path / "near.html").write_text('<a href="far.html#here">far</a><a href="#mine"></a>')
    (tmp_path / "far.html").write_text('<p id="here"></p><a href="gone.html"></a>')
    return tmp_path.resolve()


def test_links_to_missing_pages_and_anchors_are_found(site):
    broken = check_pages.broken_links(check_pages.read_pages(site), site)
    assert broken == [
        "far.html links to gone.html, which is not there",
        "near.html links to #mine, which is not there",
    ]


def test_the_page_for_missing_addresses_must_be_there_and_find_the_others_from_anywhere(site):
    pages = check_pages.read_pages(site)
    assert check_pages.missing_page(pages, site) == ["there is no 404.html"]
    (site / "404.html").write_text('<a href="near.html"></a><a href="/docs/far.html"></a>')
    pages = check_pages.read_pages(site)
    assert check_pages.missing_page(pages, site) == [
        "404.html links to near.html from wherever it is shown"
    ]
    assert not any("404" in one for one in check_pages.broken_links(pages, site))


def test_clicks_are_counted_along_links(site):
    clicks = check_pages.clicks_from(site / "index.html", check_pages.read_pages(site))
    assert {path.name: count for path, count in clicks.items()} == {
        "index.html": 0,
        "near.html": 1,
        "far.html": 2,
    }


def test_a_main_entry_of_the_index_comes_before_titles_and_words():
    pytest.importorskip("sphinx")
    scores = check_pages.scores_of("noise", INDEX)
    assert scores == {"noise": 100, "other": 16, "index": 5}


def test_the_index_is_read_from_its_script(tmp_path):
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(INDEX)})")
    assert check_pages.read_index(tmp_path) == INDEX


def test_a_search_that_leads_elsewhere_is_told(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.setattr(check_pages, "SEARCHES", {"noise": "other", "start": "index"})
    assert check_pages.misled_searches(INDEX) == ["a search for 'noise' finds noise, not other"]


@pytest.mark.parametrize("page", sorted(set(check_pages.SEARCHES.values())))
def test_the_pages_that_are_searched_for_exist(page):
    assert (ROOT / f"docs/{page}.rst").exists()


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name.endswith("Warning")])
def test_every_warning_is_on_the_page_of_common_errors(name):
    assert f":class:`~exceptions.{name}`" in (ROOT / "docs/user_guide/faq.rst").read_text()
