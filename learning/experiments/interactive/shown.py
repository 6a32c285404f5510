"""How results look in a notebook: tables as HTML, figures as pictures. It never computes a number."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from matplotlib.figure import Figure

from learning.experiments.report.tables import Table

_CELL = "padding:2px 10px;text-align:{};white-space:nowrap"
MOST_ROWS = 60
"""Rows of a table that a notebook shows."""


def table_html(table: Table, *, most: int = MOST_ROWS) -> str:
    """A table as HTML that needs no style sheet; empty columns are left out, many rows are cut with a line that says so."""
    kept = [k for k in range(len(table.header)) if k == 0 or any(row[k] for row in table.rows)]
    rows = table.rows[:most]

    def line(cells: tuple[str, ...], tag: str) -> str:
        shown = [
            f'<{tag} style="{_CELL.format("left" if place == 0 else "right")}">{escape(cells[k])}</{tag}>'
            for place, k in enumerate(kept)
        ]
        return f"<tr>{''.join(shown)}</tr>"

    more = f"<p>and {len(table.rows) - most} more rows</p>" if len(table.rows) > most else ""
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    body = "".join(line(row, "td") for row in rows)
    return f"<table>{caption}<thead>{line(table.header, 'th')}</thead><tbody>{body}</tbody></table>{more}"


def figure_shown(figure: Figure) -> Figure:
    """The figure; in a notebook it is shown as a picture from now on, also where nobody has imported pyplot."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(shell, {"png"})
    return figure


def frame_of(rows: list[dict[str, Any]], columns: list[str]) -> Any:
    """Rows as a pandas DataFrame. Raises UserError without pandas."""
    from analog_sim.config import UserError

    try:
        import pandas as pd
    except ImportError as error:
        raise UserError("to_frame: needs pandas; python -m pip install pandas") from error
    return pd.DataFrame(rows, columns=columns)
