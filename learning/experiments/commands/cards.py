"""List the packaged device cards: technology, window, states, and where the numbers come from. It never changes one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import HelpText
from learning.experiments.commands._terminal import say

if TYPE_CHECKING:
    from devices.card import DeviceCard


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per card, or all of one card; return the exit status."""
    parser = argparse.ArgumentParser(
        description="List the packaged device cards, or print one as it is written.",
        epilog="examples:\n  analog-hil cards\n  analog-hil cards pcm > my_pcm.yaml",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("card", metavar="NAME", nargs="?", help="print this card's file, to copy and change")
    name = parser.parse_args(arguments).card

    from devices.card import CARDS, load_card, resolve_card

    if name is not None:
        print(resolve_card(name, None).read_text(encoding="utf-8"), end="")
        return 0
    for path in sorted(CARDS.glob("*.yaml")):
        first, *rest = about(path, load_card(path))
        say(first, hanging=20)
        for text in rest:
            say(text)
    return 0


def about(path: Path, card: DeviceCard) -> list[str]:
    """Three lines on a card: name and technology, window and number of states, source."""
    pulsed = "programmed to a target only" if card.pulse is None else f"pulses: {card.pulse.kind}, {states(card)}"
    levels = "" if card.levels is None else "; discrete levels"
    return [
        f"{path.stem:17} {technology(path)}",
        f"{'':17} {1e6 * card.g_min:g} to {1e6 * card.g_max:g} µS; {pulsed}{levels}",
        f"{'':17} {card.reference or 'no source: an example'}",
    ]


def technology(path: Path) -> str:
    """What the first comment of a card's file says, up to its first full stop or colon."""
    first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return first.partition(":")[0].partition(". ")[0].rstrip(".")


def states(card: DeviceCard) -> str:
    """Window over the mean step up in its middle: how many pulses cross the window."""
    step = float(card.step_mean(0.5, True))
    return f"{(card.g_max - card.g_min) / step:.0f} states" if step > 0.0 else "no step up in mid-window"
