"""The table of a card's assumed values, the same on every page that used the card. It never reads a card."""

from __future__ import annotations

from collections.abc import Mapping

from learning.experiments.report.page import Section
from learning.experiments.report.tables import Table

TEXT = (
    "Values that the device card states without a source, or leaves to the program's defaults; the figures of this page rest on them too. "
    "Replace them by your own in the card."
)


def assumed_sections(assumed: Mapping[str, Mapping[str, str]]) -> list[Section]:
    """The section with one table per card; none when every value has a source.

    Args:
        assumed: card -> dotted key -> value as text.
    """
    tables = tuple(
        (f"assumed_{number}", Table(("assumed value", card), tuple(values.items()), f"Card {card}"))
        for number, (card, values) in enumerate(assumed.items())
    )
    return [Section("Assumed values", (TEXT,), tables)] if tables else []
