"""The words of README, documentation, docstrings and messages: those of the field."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PHRASES = tomllib.loads((ROOT / "tests/plain_words.toml").read_text(encoding="utf-8"))["phrase"]
GENERATED = {"auto_examples", "generated", "_build"}

PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))]
    if not GENERATED & set(path.parts) and path.name != "sg_execution_times.rst"
}
MODULES = {
    str(path.relative_to(ROOT)): path for path in sorted((ROOT / "sklearn_proxyopt").rglob("*.py"))
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def prose_of(text):
    """Return the text without code: fenced and indented blocks, doctests, names in backticks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\.\. code-block::.*?(?=^\S)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *>>> .*?(?:\n *\n|\Z)", "\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"``.*?``|:[a-z:]+:`[^`]*`|`[^`<]*`", "NAME", text, flags=re.DOTALL)
    return " ".join(text.split())


def docstrings_of(text):
    """Return all docstrings of a module, without the names of parameters."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    docstrings = "\n\n".join(filter(None, (ast.get_docstring(node) for node in nodes)))
    return re.sub(r"^ *[\w*, ]+ : ", "NAME : ", docstrings, flags=re.MULTILINE)


def messages_of(text):
    """Return what a module says to its users: texts of several words that are no docstrings."""
    tree = ast.parse(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node)
    }
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for one in joined for part in one.values}
    said = [
        _as_text(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstrings | parts
    ]
    return "\n\n".join(one for one in said if " " in one)


def _as_text(node):
    if isinstance(node, ast.JoinedStr):
        return "".join(_as_text(part) for part in node.values)
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else "NAME"


def text_of(example):
    """Return the prose of a gallery page: its docstring and its comments."""
    lines = example.splitlines()
    comments = "\n".join(line[2:] for line in lines if line.startswith("# "))
    return f"{ast.get_docstring(ast.parse(example))}\n\n{comments}"


def phrases_in(prose):
    """Return each phrase that is out of place, with the words around it."""
    found = []
    for phrase in PHRASES:
        for match in re.finditer(phrase["pattern"], prose, re.IGNORECASE):
            around = prose[max(match.start() - 40, 0) : match.end() + 40]
            if not any(re.search(context, around, re.IGNORECASE) for context in phrase["allowed"]):
                found.append(f"...{around}... (write: {phrase['write']})")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_written_in_the_words_of_the_field(page):
    assert phrases_in(prose_of(PAGES[page].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("plot_*.py")), ids=lambda p: p.stem
)
def test_a_gallery_page_is_written_in_the_words_of_the_field(path):
    assert phrases_in(prose_of(text_of(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("module", MODULES)
def test_messages_are_written_in_the_words_of_the_field(module):
    assert phrases_in(prose_of(messages_of(MODULES[module].read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_are_written_in_the_words_of_the_field(module):
    assert phrases_in(prose_of(docstrings_of(MODULES[module].read_text(encoding="utf-8")))) == []


def test_messages_are_found_in_parts_and_docstrings_are_not():
    module = '''"""In truth."""\nraise ValueError("is what was " f"paid for by {name}")'''
    assert messages_of(module) == "is what was paid for by NAME"


def test_names_of_parameters_are_no_prose():
    module = '''"""A module.\n\nAttributes\n----------\ntruth, promise : float\n    One."""'''
    assert "truth" not in docstrings_of(module)


def test_a_phrase_is_found_across_lines_and_not_in_code_or_in_its_right_context():
    assert len(phrases_in(prose_of("Rows already paid\nfor, nothing callable."))) == 1
    assert phrases_in(prose_of("Call `paid for` or ``paid for``.\n\n>>> x = 'paid for'\n")) == []
    assert phrases_in(prose_of("The constraints must leave room inside the bounds.")) == []
