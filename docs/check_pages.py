"""Check the built documentation: links, clicks from the landing page, and first hits of the search.

    python -m sphinx -E -b html docs docs/_build/html
    python docs/check_pages.py docs/_build/html

It needs Sphinx, no network, and a build of all pages anew (`-E`): Sphinx keeps the index entries of
pages that it reads, so that searches of a build in pieces lead elsewhere. What it finds wrong is
printed, and the exit status is the number of such findings, at most 100.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What people search for, and the page that must come first.
SEARCHES = {
    "Bayesian optimization": "user_guide/minimize",
    "surrogate": "user_guide/proxies",
    "surrogate optimization": "user_guide/minimize",
    "minimize": "user_guide/minimize",
    "maximize": "user_guide/maximize",
    "CSV": "user_guide/table",
    "existing data": "user_guide/table",
    "ask and tell": "user_guide/ask_tell",
    "parallel": "user_guide/evaluation",
    "jobs": "user_guide/evaluation",
    "resume": "user_guide/evaluation",
    "noise": "user_guide/laboratory",
    "verdict": "user_guide/diagnosis",
    "trust": "user_guide/diagnosis",
    "categorical": "user_guide/variables",
    "integer": "user_guide/variables",
    "mixture": "user_guide/variables",
    "multi-objective": "user_guide/several_outputs",
    "outcome constraints": "user_guide/several_outputs",
    "hyperparameter": "user_guide/model_selection",
    "design of experiments": "user_guide/samplers",
    "GPU": "user_guide/gpu",
    "SLURM": "user_guide/cluster",
    "inverse problem": "user_guide/inverse",
}
MOST_CLICKS = 2


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of where a tag leads, and of its name."""
        named = dict(attrs)
        if tag == "a" and named.get("href"):
            self.links.add(str(named["href"]))
        self.anchors |= {str(named[key]) for key in ("id", "name") if named.get(key)}


def read_pages(folder: Path) -> dict[Path, Page]:
    """Return all pages by their paths."""
    files = sorted(folder.rglob("*.html"))
    return {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in files}


def target_of(link: str, page: Path) -> tuple[Path, str] | None:
    """Return the file and the anchor that an internal link leads to, None for one to elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return path, unquote(parts.fragment)


def relative_links(page: Page) -> list[str]:
    """Return the links that lead elsewhere once the page is shown at another address."""
    return [link for link in sorted(page.links) if not link.startswith(("#", "/", "http"))]


def missing_page(pages: dict[Path, Page], folder: Path) -> list[str]:
    """Return what is wrong with the page that a host shows at addresses that do not exist."""
    page = pages.get(folder / "404.html")
    if page is None:
        return ["there is no 404.html"]
    return [f"404.html links to {link} from wherever it is shown" for link in relative_links(page)]


def broken_links(pages: dict[Path, Page], folder: Path) -> list[str]:
    """Return the internal links that lead nowhere."""
    broken = []
    for path, page in pages.items():
        if path == folder / "404.html":
            continue  # its links begin where the pages are hosted
        for link in sorted(page.links):
            target = target_of(link, path)
            if target is None:
                continue
            file, anchor = target
            is_there = file.exists() and (
                not anchor or file not in pages or anchor in pages[file].anchors
            )
            if not is_there:
                broken.append(f"{path.relative_to(folder)} links to {link}, which is not there")
    return broken


def clicks_from(start: Path, pages: dict[Path, Page]) -> dict[Path, int]:
    """Return how many clicks from a page lead to each other one."""
    clicks, reached = {start: 0}, [start]
    for path in reached:
        targets = (target_of(link, path) for link in pages[path].links)
        for file in sorted({target[0] for target in targets if target} & set(pages)):
            if file not in clicks:
                clicks[file] = clicks[path] + 1
                reached.append(file)
    return clicks


def read_index(folder: Path) -> dict:
    """Return what the search of the built pages knows."""
    text = (folder / "searchindex.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


def scores_of(query: str, index: dict) -> dict[str, int]:
    """Return the score of each page for a query, by the rules of Sphinx's searchtools.js."""
    from sphinx.search.en import SearchEnglish

    words, scores = query.lower().split(), defaultdict(int)

    def keep(document: int, score: int) -> None:
        name = index["docnames"][document]
        scores[name] = max(scores[name], score)

    for title, places in index["alltitles"].items():
        if query.lower() in title.lower() and len(query) >= len(title) / 2:
            for document, _ in places:
                is_main = index["titles"][document] == title
                keep(document, round(15 * len(query) / len(title)) + is_main)
    for entry, places in index["indexentries"].items():
        if query.lower() in entry and len(query) >= len(entry) / 2:
            for document, _, is_main in places:
                if is_main:
                    keep(document, round(100 * len(query) / len(entry)))
    for objects in index["objects"].values():
        for document, _, priority, _, name in objects:
            last = name.lower().rpartition(".")[2]
            if all(word in name.lower() for word in words):
                found = 11 if last in words else 6 if any(word in last for word in words) else 0
                keep(document, found + {0: 15, 1: 5, 2: -5}.get(priority, 0))
    stem = SearchEnglish({}).stem
    for terms, score in ((index["terms"], 5), (index["titleterms"], 15)):
        found = [terms.get(stem(word), []) for word in words]
        sets = [set(pages) if isinstance(pages, list) else {pages} for pages in found]
        for document in set.intersection(*sets):
            keep(document, score)
    return dict(scores)


def misled_searches(index: dict) -> list[str]:
    """Return the searches whose first hit is another page than the one expected."""
    misled = []
    for query, expected in SEARCHES.items():
        scores = scores_of(query, index)
        best = max(scores.values(), default=0)
        first = sorted(name for name, score in scores.items() if score == best)
        if first != [expected]:
            misled.append(f"a search for {query!r} finds {', '.join(first)}, not {expected}")
    return misled


def far_pages(pages: dict[Path, Page], folder: Path) -> list[str]:
    """Return the pages that are searched for and lie too many clicks from the landing page."""
    clicks = clicks_from(folder / "index.html", pages)
    names = sorted(set(SEARCHES.values()))
    return [
        f"{name} is not within {MOST_CLICKS} clicks of the landing page"
        for name in names
        if clicks.get(folder / f"{name}.html", MOST_CLICKS + 1) > MOST_CLICKS
    ]


def main(folder: Path) -> int:
    """Print what is wrong with the built pages, and return how much that is."""
    folder = folder.resolve()
    pages = read_pages(folder)
    wrong = [
        *broken_links(pages, folder),
        *missing_page(pages, folder),
        *far_pages(pages, folder),
        *misled_searches(read_index(folder)),
    ]
    print("\n".join([*wrong, f"{len(pages)} pages, {len(SEARCHES)} searches: {len(wrong)} wrong"]))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 100))
