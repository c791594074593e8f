"""A notebook: its cells run in one process, nothing warns, and all of it can be shown."""

import ast
import html.parser
import re
import warnings
from pathlib import Path

import pytest

pytest.importorskip("matplotlib").use("Agg")
pytest.importorskip("pandas")

EXAMPLE = Path(__file__).parents[2] / "examples" / "plot_what_a_run_tells.py"
MORE = """
optimizer.diagnose()
# %%
result
# %%
optimizer.variables_
# %%
optimizer.to_frame().tail(3)
"""


def cells():
    """Return the cells of the example, and some that end in what has a card."""
    text = EXAMPLE.read_text(encoding="utf-8") + "\n# %%\n" + MORE
    return [cell for cell in re.split(r"^# %%.*$", text, flags=re.MULTILINE) if cell.strip()]


def shown(cell, names):
    """Run a cell; return what a notebook shows of its last line."""
    tree = ast.parse(cell)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return None
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


@pytest.mark.slow
def test_the_cells_of_a_notebook_show_everything_without_a_warning(capsys):
    names = {"__name__": "__main__", "__file__": str(EXAMPLE)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pages = [shown(cell, names) for cell in cells()]
    cards = [page for page in pages if page and page.startswith("<div")]
    # The diagnosis, the result, the variables and two tables.
    assert len(cards) == 5
    for page in cards:
        html.parser.HTMLParser().feed(page)
    assert "Best value" in capsys.readouterr().out
    assert names["path"].exists()
