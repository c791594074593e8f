"""Settings of the Sphinx build."""

import os
import re
import sys
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from urllib.parse import urlsplit

import sklearn_proxyopt

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sklearn_proxyopt"
author = "sklearn_proxyopt developers"
copyright = "sklearn_proxyopt developers, BSD 3-Clause License"
release = version_of("sklearn_proxyopt")
version = ".".join(release.split(".")[:2])

extensions = [
    "numpydoc",
    "result_table",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "thumbnails",
]
# A build needs no network. With one, names of other packages become links to their documentation:
# DOCS_ONLINE=1 python -m sphinx docs docs/_build/html
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://pytorch.org/docs/stable", None),
    }
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext"]
default_role = "literal"
toc_object_entries_show_parents = "hide"

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autosummary_context = {"top_level": sklearn_proxyopt.__all__, "package": project}
autodoc_typehints = "none"
autodoc_default_options = {
    # what every estimator has from scikit-learn is documented there
    "exclude-members": "get_metadata_routing, get_params, set_params, set_fit_request, "
    "set_partial_fit_request, set_predict_request, set_score_request",
}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": "ExampleTitleSortKey",
    "download_all_examples": False,
    "image_scrapers": ("thumbnails.scraper",),
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
}

extlinks = {
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
    "doi": ("https://doi.org/%s", "doi:%s"),
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["tables.js"]
html_show_sourcelink = False
html_sidebars = {"index": [], "install": [], "quickstart": []}
html_theme_options = {
    "logo": {"text": project},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def mend_docstring(app, what, name, obj, options, lines):
    """Escape trailing underscores in types, and unlink the labels of scikit-learn's own pages."""
    inherited = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    for number, line in enumerate(lines):
        if line.lstrip().startswith("**"):
            line = re.sub(r"_(?=[,)])", r"\\_", line)
        if inherited:
            line = re.sub(r":ref:`([^<`]+?)\s*<[^>]+>`", r"\1", line)
        lines[number] = line


def changelog_as_rst(text):
    """Return a changelog in Markdown as reStructuredText: headings, links and code."""
    lines = []
    for line in text.splitlines():
        heading = re.match(r"(#+) (.*)", line)
        if heading:
            title = heading[2].strip("[]").replace("] - ", ", ")
            lines += [title, "=-~"[len(heading[1]) - 1] * len(title)]
        else:
            lines.append(re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", line))
    return "\n".join(lines) + "\n"


def show_changelog(app, docname, source):
    """Put CHANGELOG.md in the place of the page `changelog`."""
    if docname == "changelog":
        changelog = Path(app.srcdir).parent / "CHANGELOG.md"
        source[0] = changelog_as_rst(changelog.read_text(encoding="utf-8"))


def hosted_at():
    """Return the path under which the pages are hosted, by the address in pyproject.toml."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    address = tomllib.loads(text)["project"]["urls"]["Documentation"]
    address = os.environ.get("READTHEDOCS_CANONICAL_URL", address)
    return urlsplit(address).path.rstrip("/") + "/"


def make_links_absolute(app, exception):
    """Let the page that a host shows in place of a missing one, at any address, find the others."""
    page = Path(app.outdir) / "404.html"
    if exception is None and page.exists():
        html = page.read_text(encoding="utf-8")
        local = r'(href|src|action|data-content_root)="(?:\./)?(?!#|/|[a-z]+:)([^"]*)"'
        page.write_text(re.sub(local, rf'\1="{hosted_at()}\2"', html), encoding="utf-8")


def setup(app):
    app.connect("build-finished", make_links_absolute)
    app.connect("source-read", show_changelog)
    # after numpydoc, whose priority is 500
    app.connect("autodoc-process-docstring", mend_docstring, priority=600)
