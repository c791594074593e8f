"""Thumbnails of the gallery, drawn for their size instead of scaled from a large picture.

After an example has run, the largest panel of each of its figures is drawn once more at the size of
a thumbnail: alone, without legend and title, with few ticks and readable letters. The gallery
then shows that of the first figure, or of the one that the example names::

    # sphinx_gallery_thumbnail_number = 2
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from shutil import copyfile

__all__ = ["draw_small", "scraper"]

# In inches at 100 dots each; a card of the gallery is at least 240 pixels wide.
SIZE = (4.0, 2.8)
LETTERS = 13
MOST_TICKS = 4
# Longer names would leave no place for what is drawn.
LONGEST = 16
FOLDER = "small"


def scraper(block, block_vars, gallery_conf):
    """Let Sphinx-Gallery keep the figures of a block, and keep each of them small."""
    from matplotlib import pyplot
    from sphinx_gallery.scrapers import matplotlib_scraper

    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    paths = block_vars["image_path_iterator"]
    before = len(paths)
    text = matplotlib_scraper(block, block_vars, gallery_conf)
    for figure, path in zip(figures, paths.paths[before:], strict=False):
        folder = Path(path).parent / FOLDER
        folder.mkdir(exist_ok=True)
        draw_small(figure, folder / Path(path).name)
    return text


def draw_small(figure, path):
    """Draw the largest panel of a figure at the size of a thumbnail; the figure is used up."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.gridspec import GridSpec
    from matplotlib.text import Text

    panels = [axes for axes in figure.axes if axes.has_data() and axes.get_label() != "<colorbar>"]
    if not panels:
        return
    kept = max(panels, key=lambda axes: axes.bbox.width * axes.bbox.height)
    for axes in [axes for axes in figure.axes if axes is not kept]:
        axes.remove()
    for legend in [*figure.legends, kept.get_legend()]:
        if legend is not None:
            legend.remove()
    for text in list(figure.texts):
        text.remove()
    _simplify(kept)
    figure.set_layout_engine("constrained")
    kept.set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    figure.set_size_inches(SIZE)
    for text in figure.findobj(Text):
        text.set_fontsize(LETTERS)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100)


def _simplify(axes):
    """Take away the title and most ticks, and break long names."""
    from matplotlib.ticker import AutoLocator, LogLocator, MaxNLocator, NullFormatter

    axes.set_title("")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_label_text(textwrap.fill(axis.get_label_text(), 24))
        axis.set_minor_formatter(NullFormatter())
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(numticks=MOST_TICKS))
        elif isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator(MOST_TICKS))
        elif any(len(label.get_text()) > LONGEST for label in axis.get_ticklabels()):
            axis.set_ticklabels([])


def show_small(app):
    """Put the small pictures in the place of the scaled ones."""
    for name in app.config.sphinx_gallery_conf["gallery_dirs"].split():
        images = Path(app.srcdir) / name / "images"
        for thumbnail in images.glob("thumb/sphx_glr_*_thumb.png"):
            stem = thumbnail.stem.removesuffix("_thumb")
            example = images.parent / f"{stem.removeprefix('sphx_glr_')}.py"
            small = images / FOLDER / f"{stem}_{_number_in(example):03d}.png"
            if small.exists():
                copyfile(small, thumbnail)


def _number_in(example):
    """Return the number of the figure that an example is shown by."""
    text = example.read_text(encoding="utf-8") if example.exists() else ""
    named = re.search(r"sphinx_gallery_thumbnail_number = (\d+)", text)
    return int(named[1]) if named else 1


def setup(app):
    """Replace thumbnails once Sphinx-Gallery has made its own."""
    app.connect("builder-inited", show_small, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
