"""Which sentence on a run is a warning (a figure of the page is doubtful for it) and which is a fact. It never writes a sentence."""

from __future__ import annotations

from collections.abc import Iterable

DOUBTFUL = (
    "not converge",
    "diverged",
    "no longer finite",
    "one seed (seeds",
    "may flatter",
    "no better than chance",
    "is not compensated",
    "is never measured",
    "does nothing with",
    "more pulses than a pulse train can carry",
    "written exactly and at no cost",
    "not on the test samples",
    "UNPROVEN",
    "BAD FIT",
    "unproven",
)
"""Phrases of sentences that make a figure doubtful; a test finds each in the sentences of the program."""


def warnings_and_facts(notes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split sentences into warnings and facts, each in its order."""
    known = tuple(dict.fromkeys(notes))
    doubtful = tuple(note for note in known if any(phrase in note for phrase in DOUBTFUL))
    return doubtful, tuple(note for note in known if note not in doubtful)
