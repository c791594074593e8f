"""The directive `result-table`: chosen columns of a CSV file under headings for people.

The file keeps the names that programs read; the page says which columns to show, one a line, each
with the heading that stands over it::

    .. result-table:: results/speed.csv
       :title: One fit
       :where: rows=200
       :lowest: seconds

       tool: tool
       seconds_per_fit: seconds

Numbers are shown with three significant digits, and the lowest (or highest) of a column in bold.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

__all__ = ["ResultTable", "shown"]


def shown(cell: str) -> str:
    """Return a cell as people read it, a number with three significant digits."""
    number = _number(cell)
    if number is None or (number == int(number) and abs(number) < 1000):
        return cell.removesuffix(".0")
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.3g}"


class ResultTable(Directive):
    """Chosen columns of a CSV file; see the module."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {
        "title": directives.unchanged,
        "where": directives.unchanged,
        "lowest": directives.unchanged,
        "highest": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        path = Path(self.state_machine.get_source(self.lineno)).parent / self.arguments[0]
        self.state.document.settings.record_dependencies.add(str(path))
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if self._is_shown(row)]
        columns = dict(line.rsplit(": ", 1) for line in self.content if line.strip())
        unknown = [name for name in columns if not rows or name not in rows[0]]
        if unknown:
            raise self.error(f"{path.name} has no rows or no columns {unknown}.")
        table = [list(columns.values())]
        best = self._best(rows, columns)
        for n, row in enumerate(rows):
            cells = [(name, shown(row[name])) for name in columns]
            table.append([f"**{c}**" if (n, name) in best and c else c for name, c in cells])
        return self._parsed(table)

    def _is_shown(self, row: dict[str, str]) -> bool:
        pairs = [pair.split("=", 1) for pair in self.options.get("where", "").split(";") if pair]
        return all(row[name.strip()] == value.strip() for name, value in pairs)

    def _best(self, rows: list[dict[str, str]], columns: dict[str, str]) -> set[tuple[int, str]]:
        best = set()
        for option, choose in (("lowest", min), ("highest", max)):
            headings = [part.strip() for part in self.options.get(option, "").split(";")]
            for name in [name for name, heading in columns.items() if heading in headings]:
                numbers = {n: _number(row[name]) for n, row in enumerate(rows)}
                known = {n: number for n, number in numbers.items() if number is not None}
                winner = choose(known.values())
                best |= {(n, name) for n, number in known.items() if number == winner}
        return best

    def _parsed(self, table: list[list[str]]) -> list[nodes.Node]:
        lines = [f".. list-table:: {self.options.get('title', '')}", "   :header-rows: 1", ""]
        for row in table:
            lines += [f"   {'* -' if n == 0 else '  -'} {cell}" for n, cell in enumerate(row)]
        parent = nodes.Element()
        source = self.state.document.current_source
        self.state.nested_parse(StringList(lines, source=source), self.content_offset, parent)
        return parent.children


def _number(cell: str) -> float | None:
    try:
        return float(cell.removesuffix("%"))
    except ValueError:
        return None


def setup(app):
    """Add the directive."""
    app.add_directive("result-table", ResultTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
