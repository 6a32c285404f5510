"""Cards to test: every packaged card, and a plain card around every row of the catalogue. It measures nothing."""

from typing import Any

from catalogue import REGISTRIES

from devices.card import CARDS, DeviceCard, load_card

FIELDS = {
    "devices.pulse": "pulse",
    "devices.programming": "programming",
    "devices.read_noise": "read_noise",
    "devices.drift": "drift",
}
"""Package of plug-ins -> the field of the card that holds one."""

NAMES = tuple(sorted(path.stem for path in CARDS.glob("*.yaml")))

ROWS = tuple(
    f"{package}/{kind}/{i}"
    for package in FIELDS
    for kind, rows in REGISTRIES[package][1].items()
    for i in range(len(rows))
    if kind != "measured"  # not a formula: tests/devices/measurements compares it with its file
)
"""Rows of the catalogue as names: package/kind/number."""


def row_card(row: str, **fields: Any) -> DeviceCard:
    """A card from 2 to 40 uS whose only unusual part is the given row of the catalogue."""
    package, kind, i = row.split("/")
    part = {"kind": kind, **REGISTRIES[package][1][kind][int(i)]}
    return DeviceCard.model_validate({"name": row, "g_min": 2.0, "g_max": 40.0, FIELDS[package]: part, **fields})


def card_of(name: str) -> DeviceCard:
    """The packaged card of that name, or the card of a row."""
    return row_card(name) if "/" in name else load_card(name)
