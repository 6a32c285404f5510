"""The report of a search of settings: every candidate, the best of each arm, and how it was judged. It never trains."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from learning.experiments.monte_carlo.score import ACCURACY, Score
from learning.experiments.report.head import (
    PageHead,
    cards_of,
    configuration_of,
    converter_text,
    device_text,
    network_text,
    part,
    plain,
    wires_text,
)
from learning.experiments.report.page import Plot, Section, write_page
from learning.experiments.report.style import COLOURS, new_figure, styled
from learning.experiments.report.tables import Table
from learning.experiments.runs.run_folder import RunDirectory

TEXT = (
    "Every arm got the same number of candidates. They are judged on training samples that were held out from training; the test samples "
    "were not used."
)


def write_search_report(
    run: RunDirectory,
    table: Table,
    best: Mapping[str, Mapping[str, Any]],
    keys: Sequence[str],
    score: Score = ACCURACY,
) -> Path:
    """Write report.html of a search into the run's folder; return the page's path.

    Args:
        run: its folder. table: all candidates (arm, setting, score, mark). best: arm -> best setting. keys: what was tried.
        score: what they were judged by.
    """
    tree = configuration_of(run)
    cards = cards_of([tree])
    seeds = tree.get("seeds") or ()
    subject = plain(
        [
            ("network", network_text(tree)),
            ("data set", str(part(tree, "dataset.name") or "own data")),
            (
                "judged on",
                f"{tree.get('validation')} held-out training samples, mean over {len(seeds)} seed{'s' if len(seeds) != 1 else ''}",
            ),
            ("device", device_text(cards)),
            ("converters", converter_text(tree)),
            ("wires", wires_text(tree)),
            ("tried", ", ".join(keys)),
            ("seeds", ", ".join(map(str, seeds))),
        ]
    )
    scores = {(row[0], row[1]): row[2] for row in table.rows}
    named = "" if score.unit else f"{score.name} "
    winners = [
        f"{arm}: {_setting(setting)} ({named}{scores.get((arm, _setting(setting)), '')}{score.unit})"
        for arm, setting in best.items()
    ]
    conclusion = (
        f"Best settings on the held-out samples: {'; '.join(winners)}." if winners else "No candidate came to its end."
    )
    drawn = [row for row in table.rows if row[2] != "diverged"]
    plots = (
        (
            Plot(
                "candidates",
                candidates([(row[0], row[1], float(row[2])) for row in drawn], score.axis),
                f"{score.title} of every candidate.",
            ),
        )
        if drawn
        else ()
    )
    sections = [Section("Candidates", (TEXT,), (("candidates", table),), plots)]
    return write_page(
        run, f"{tree.get('name', 'search')}: search", sections, head=PageHead(conclusion, subject, cards=cards)
    )


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


@styled
def candidates(rows: Sequence[tuple[str, str, float]], label: str = "accuracy (%)") -> Figure:
    """Bars of accuracy, or R2, one colour an arm.

    Args:
        rows: arm, setting, value as in the table. label: of the axis.
    """
    arms = list(dict.fromkeys(arm for arm, _, _ in rows))
    names = [textwrap.fill(f"{arm}: {setting}", 44) for arm, setting, _ in rows]
    lines = max(name.count("\n") + 1 for name in names)
    figure, [axes] = new_figure(7.2, 0.9 + (0.1 + 0.17 * lines) * len(rows))
    y = np.arange(len(rows))[::-1]
    axes.barh(
        y,
        [value for _, _, value in rows],
        0.72,
        color=[COLOURS[arms.index(arm) % len(COLOURS)] for arm, _, _ in rows],
        linewidth=0,
    )
    axes.set_yticks(y, names, fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    axes.set_xlabel(label)
    return figure
