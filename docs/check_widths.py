"""Open built pages in a real browser and list what is wider than its page.

Run by hand; it needs Qt's browser (Chromium), which is no dependency of the package:

    .venv/bin/pip install "PySide6_Addons==6.8.3"
    .venv/bin/python docs/check_widths.py docs/_build/html --pictures pictures

Every page is laid out at 1280 and at 390 pixels, in light and dark. Code, tables and pictures count
that stick out of the text column, or that have to be scrolled to be read; and so does a page that
can be scrolled sideways. `--pictures` keeps a
picture of each page. The exit status is the number of pages with a finding, at most 99.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QTWEBENGINE_DISABLE_SANDBOX", "1")
os.environ.setdefault("QTWEBENGINE_CHROMIUM_FLAGS", "--disable-gpu --force-device-scale-factor=1")

from PySide6.QtCore import QEventLoop, QSize, QTimer, QUrl
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

WIDTHS = (1280, 390)
FIND = """
(function () {
  const found = [];
  const room = document.documentElement.clientWidth;
  for (const one of document.querySelectorAll("article pre, article table, article img")) {
    const box = one.getBoundingClientRect();
    if (box.width === 0) continue;
    const frame = one.closest(".pst-scrollable-table-container") || one;
    const hidden = Math.max(...[one, frame].map((box) => box.scrollWidth - box.clientWidth));
    const outside = Math.round(box.right - room);
    const by = one.tagName === "IMG" ? outside : Math.max(hidden, outside);
    if (by > 2) {
      const text = (one.alt || one.innerText || one.src).trim().slice(0, 50).replace(/\\n/g, " / ");
      found.push([one.tagName.toLowerCase(), by, text]);
    }
  }
  const beyond = document.scrollingElement.scrollWidth - room;
  if (beyond > 2) found.push(["page", beyond, document.title]);
  return JSON.stringify([found, document.documentElement.scrollHeight]);
})()
"""


class Browser:
    """One page at a time, waited for."""

    def __init__(self) -> None:
        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        self.view = QWebEngineView()

    def open(self, path: Path, width: int, theme: str) -> None:
        """Lay a page out at a width, in light or dark."""
        self.view.resize(QSize(width, 900))
        self.view.show()
        self._until(self.view.loadFinished, lambda: self.view.load(QUrl.fromLocalFile(str(path))))
        self.run(f"document.documentElement.dataset.theme = '{theme}'; 0")
        self.pause(150)

    def run(self, script: str):
        """Return what a script gives."""
        answers: list = []
        loop = QEventLoop()
        self.view.page().runJavaScript(script, lambda answer: (answers.append(answer), loop.quit()))
        loop.exec()
        return answers[0]

    def keep(self, path: Path, height: int) -> None:
        """Save a picture of the page, its first 6,000 pixels at most."""
        self.view.resize(QSize(self.view.width(), min(height, 6000)))
        self.pause(300)
        self.view.grab().save(str(path))

    def pause(self, milliseconds: int) -> None:
        """Let the page work."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def _until(self, signal, act) -> None:
        loop = QEventLoop()
        signal.connect(loop.quit)
        QTimer.singleShot(20_000, loop.quit)
        act()
        loop.exec()
        signal.disconnect(loop.quit)


def main() -> int:
    """Check the pages; return how many have a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pages were built")
    parser.add_argument("--only", default="**/*.html", help="which pages, as a pattern")
    parser.add_argument("--pictures", type=Path, help="where pictures of the pages go")
    options = parser.parse_args()
    browser, with_finding = Browser(), set()
    for path in sorted(options.folder.glob(options.only)):
        name = path.relative_to(options.folder)
        if name.parts[0].startswith("_"):
            continue
        for width in WIDTHS:
            browser.open(path.resolve(), width, "light")
            found, height = json.loads(browser.run(FIND))
            for tag, by, text in found:
                print(f"{width:5} {name}: {tag} {by} px too wide: {text}", flush=True)
                with_finding.add(name)
            if options.pictures is not None:
                options.pictures.mkdir(parents=True, exist_ok=True)
                stem = str(name.with_suffix("")).replace(os.sep, "-")
                browser.keep(options.pictures / f"{stem}-{width}-light.png", height)
                browser.open(path.resolve(), width, "dark")
                browser.keep(options.pictures / f"{stem}-{width}-dark.png", height)
    print(f"{len(with_finding)} pages with a finding")
    return min(len(with_finding), 99)


if __name__ == "__main__":
    sys.exit(main())
