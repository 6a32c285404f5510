"""The gallery of device cards: numbers, source and one figure of each packaged card, from the cards. It never states a number itself."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

from devices.card import CARDS, DeviceCard, load_card
from learning.experiments.report.device.figures import ageing, programming_error, pulse_ramps
from learning.experiments.report.device.page import numbers_table
from learning.experiments.report.device.results import DeviceClaims, DeviceResults, device_claims, measure
from learning.experiments.report.head import linked
from learning.experiments.report.style import save_svg
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import readable

CELLS = 200


def gallery(folder: Path) -> tuple[str, dict[str, bytes]]:
    """Markdown of the page, and its figures: name -> SVG."""
    parts, figures, columns = [], {}, []
    for name in sorted(path.stem for path in CARDS.glob("*.yaml")):
        card = load_card(name)
        results = measure(card, cells=CELLS, seed=0)
        claims = device_claims(card, results)
        columns.append((card, claims))
        figure, caption = _figure(card, claims, results)
        figures[f"{name}.svg"] = _svg(figure, folder / f"{name}.svg")
        parts += [
            f"## {name}",
            "",
            _source(card.reference),
            "",
            f"![{caption} of {name}]({name}.svg)",
            "",
            f"{caption}.",
            "",
        ]
        parts += [_markdown(numbers_table([(card, claims)])), ""]
        assumed = card.assumptions()
        if assumed:
            said = ", ".join(f"`{key}` = {readable(str(value))}" for key, value in assumed.items())
            parts += [f"Assumed, without a source: {said}.", ""]
    head = [
        "# Gallery of device cards",
        "",
        f"Every packaged card: its source, its numbers in closed form, and {CELLS} emulated cells.",
        "`analog-hil characterise NAME` draws more;",
        "[how a card is made](../device_cards.md) says what the keys mean.",
        "",
        _overview(columns),
        "",
    ]
    return "\n".join([*head, *parts]), figures


def _figure(card: DeviceCard, claims: DeviceClaims, results: DeviceResults) -> tuple[Figure, str]:
    if results.ramps is not None:
        return pulse_ramps(results.ramps, claims), "Two cycles of pulses up and down, each followed by a read"
    if results.aged is not None:
        return ageing(results, claims), "Cells written to five states, then left alone"
    return programming_error(results, claims), "Error after programming against the target"


def _svg(figure: Figure, file: Path) -> bytes:
    save_svg(figure, file)
    text = file.read_text(encoding="utf-8")
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL).encode()


def _source(reference: str) -> str:
    return "".join(f"[{text}]({address})" if address else text for text, address in linked(reference)) or "No source."


def _markdown(table: Table) -> str:
    return readable(Table(table.header, table.rows).markdown().strip())


def _overview(columns: list[tuple[DeviceCard, DeviceClaims]]) -> str:
    lines = [
        "| card | window | states up / down | programming error | read noise | after a year |",
        "|---|---|---|---|---|---|",
    ]
    for card, claims in columns:
        rows = dict(numbers_table([(card, claims)]).rows)
        wanted = (
            "conductance window",
            "number of states, up / down",
            "programming error at mid window",
            "read noise at mid window, 1 s",
        )
        cells = [rows[name] for name in (*wanted, "median conductance after 1 year, mid window")]
        lines.append(f"| [{card.name}](#{card.name.lower()}) | " + " | ".join(cells) + " |")
    return readable("\n".join(lines))
