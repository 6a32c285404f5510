"""A small table of text: for the terminal, for CSV and for HTML. It never computes a number."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from learning.experiments.report.wording import THIN, count_text, engineering
from learning.experiments.runs.spreadsheet import is_number, spreadsheet_text


@dataclass(frozen=True)
class Table:
    """Rows of text under a header.

    Attributes:
        header: column names; the first column is a label, the others are numbers. rows: as many cells each. caption: one line.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def words(self) -> tuple[bool, ...]:
        """Of each column whether it holds words and no numbers."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return tuple(any(column) and not any(re.match(r"[-+−]?\d|-$", cell) for cell in column) for column in columns)

    @property
    def filled(self) -> Table:
        """The table without columns in which no row has anything; as it is without rows."""
        kept = [k for k, column in enumerate(zip(*self.rows, strict=True)) if k == 0 or any(column)]
        if not kept or len(kept) == len(self.header):
            return self
        rows = tuple(tuple(row[k] for k in kept) for row in self.rows)
        return Table(tuple(self.header[k] for k in kept), rows, self.caption)

    def text(self, width: int | None = None) -> str:
        """Aligned columns for the terminal; a column in which no row has anything is left out.

        width: columns of the terminal. What is wider is stacked: blocks of as many columns as fit, each beginning with the first one;
        a first column of more than a third of the terminal is cut. A table with a cell that no block can hold is written row by row,
        its cells one below the other. None: as wide as it is.
        """
        found = self.filled
        cells = [list(row) for row in (found.header, *found.rows)]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        caption = [self.caption] if self.caption else []
        if width is not None:
            caption = [line for text in caption for line in wrap(text, width)]
            if len(widths) > 1 and max(widths[1:]) > width - 2 - min(widths[0], width // 3):
                return "\n".join([*caption, *_records(cells, width)])
            if sum(widths) + 2 * (len(widths) - 1) > width:
                widths[0] = min(widths[0], max(width // 3, width - 2 - max(widths[1:], default=0)))
        blocks = _blocks(widths, width)

        def line(row: Sequence[str], block: Sequence[int]) -> str:
            first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 3] + "..."
            aligned = [first.ljust(widths[0]), *(row[k].rjust(widths[k]) for k in block)]
            return "  ".join(aligned).rstrip()

        shown = []
        for block in blocks:
            header, *rows = [line(row, block) for row in cells]
            rule = "  ".join("-" * widths[k] for k in (0, *block))
            shown.append("\n".join([header, rule, *rows]))
        return "\n".join([*caption, "\n\n".join(shown)])

    def write_csv(self, path: Path) -> None:
        """Write the table as CSV; what a spreadsheet would take for a formula is marked as text (`spreadsheet_text`)."""
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = ([spreadsheet_text(cell.replace(THIN, "")) for cell in row] for row in (self.header, *self.rows))
            csv.writer(file, lineterminator="\n").writerows(rows)

    def markdown(self) -> str:
        """The table in Markdown; names are shown as they are, never as markup."""
        header, *rows = [[markdown_text(cell) for cell in row] for row in (self.header, *self.rows)]
        lines = [markdown_text(self.caption), "", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _records(cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of a table whose cells are texts: a row in one line where it fits, else its cells below its first one, wrapped."""
    header, *rows = cells
    lines = []
    for first, *others in rows:
        parts = [f"{name}: {cell or '-'}" for name, cell in zip(header[1:], others, strict=True)]
        if len(whole := "  ".join([first, *parts])) <= width:
            lines.append(whole)
            continue
        lines.append(first)
        for part in parts:
            lines += wrap(part, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    return lines


def _blocks(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Columns after the first, as many to a block as fit beside it."""
    blocks: list[list[int]] = [[]]
    used = widths[0]
    for k, column in enumerate(widths[1:], start=1):
        if width is not None and blocks[-1] and used + 2 + column > width:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(k)
        used += 2 + column
    return blocks


def markdown_text(text: str) -> str:
    """A text in a cell or line of Markdown: marks are escaped, line breaks become blanks."""
    if is_number(text):
        return text
    escaped = re.sub(r"([\\`*_{}\[\]<>|#~!$&]|^[-+=])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped)  # no numbered list


def cost_rows(costs: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Rows (quantity, value) of costs named like `energy per inference (J)`: the unit moves to the value."""
    return tuple(_with_unit(name, value) for name, value in costs.items())


def _with_unit(name: str, value: float) -> tuple[str, str]:
    found = re.fullmatch(r"(.+) \((\w+)\)", name)
    return (found.group(1), engineering(value, found.group(2))) if found else (name, _plain(value))


def _plain(value: float) -> str:
    """A count with thin spaces, anything else in four digits."""
    return count_text(value) if value == round(value) or abs(value) >= 1e4 else f"{value:.4g}"
