"""What the build of the documentation adds: thumbnails drawn small, and a page for missing ones."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]


def module_at(path):
    """Return the module in a file."""
    spec = spec_from_file_location(Path(path).stem, ROOT / path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


thumbnails = module_at("docs/_ext/thumbnails.py")


@pytest.fixture
def figure():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, (large, small) = pyplot.subplots(
        1, 2, figsize=(10, 4), width_ratios=[2, 1], layout="constrained"
    )
    large.plot([1, 2, 3], label="one")
    large.set(title="large", xlabel="a name that is too long for one line of a thumbnail")
    large.legend()
    small.plot([3, 2, 1])
    figure.suptitle("both")
    yield figure
    pyplot.close(figure)


def test_the_largest_panel_alone_is_drawn_at_the_size_of_a_thumbnail(figure, tmp_path):
    from matplotlib.image import imread

    large = figure.axes[0]
    thumbnails.draw_small(figure, tmp_path / "one.png")
    assert imread(tmp_path / "one.png").shape[:2] == (280, 400)
    assert figure.axes == [large]
    assert large.get_legend() is None
    assert large.get_title() == ""
    assert "\n" in large.get_xlabel()
    assert {label.get_fontsize() for label in large.get_xticklabels()} == {thumbnails.LETTERS}


def test_a_figure_without_data_has_no_thumbnail(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    empty = pyplot.figure()
    thumbnails.draw_small(empty, tmp_path / "empty.png")
    pyplot.close(empty)
    assert not (tmp_path / "empty.png").exists()


def test_the_gallery_shows_the_small_picture_that_an_example_names(tmp_path):
    images = tmp_path / "gallery/images"
    for folder in ("thumb", thumbnails.FOLDER):
        (images / folder).mkdir(parents=True)
    shown = images / "thumb/sphx_glr_plot_one_thumb.png"
    shown.write_text("scaled")
    for number in (1, 2):
        (images / thumbnails.FOLDER / f"sphx_glr_plot_one_00{number}.png").write_text(f"{number}")
    conf = {"gallery_dirs": "gallery"}
    app = SimpleNamespace(srcdir=tmp_path, config=SimpleNamespace(sphinx_gallery_conf=conf))
    thumbnails.show_small(app)
    assert shown.read_text() == "1"
    (tmp_path / "gallery/plot_one.py").write_text("# sphinx_gallery_thumbnail_number = 2\n")
    thumbnails.show_small(app)
    assert shown.read_text() == "2"


def test_links_of_the_page_for_missing_addresses_begin_where_the_pages_are_hosted(
    tmp_path, monkeypatch
):
    conf = module_at("docs/conf.py")
    monkeypatch.setenv("READTHEDOCS_CANONICAL_URL", "https://docs.org/en/latest/")
    links = 'href="api/index.html" src="./_static/x.js" href="#top" href="https://x.org" href="/a"'
    page = tmp_path / "404.html"
    page.write_text(f'<html data-content_root="./"><a {links}></a>')
    conf.make_links_absolute(SimpleNamespace(outdir=tmp_path), None)
    assert page.read_text() == (
        '<html data-content_root="/en/latest/"><a href="/en/latest/api/index.html" '
        'src="/en/latest/_static/x.js" href="#top" href="https://x.org" href="/a"></a>'
    )
