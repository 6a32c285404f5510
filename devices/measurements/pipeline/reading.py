"""All files of a configuration read into tables, and a description of what they hold. It never fits."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from devices.measurements.columns.columns import listed
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.traces import conditions
from devices.measurements.table.sink import Measurements, Sink

_BAKE = re.compile(r"temp|°C|[(\[][CK][)\]]", re.IGNORECASE)
MOST_KINDS = 12
"""Kinds of pulses that a description lists."""

LIFE_SECONDS = 2.0
"""Between two lines that say how far a long reading has come."""

Say = Callable[[str], None]


class Life:
    """Says how far a reading has come, at most every `LIFE_SECONDS`."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, time.monotonic()

    def __call__(self, text: str) -> None:
        """Say it, or not yet."""
        now = time.monotonic()
        if now - self._last >= LIFE_SECONDS:
            self._last = now
            self._say(text)


def read_measurements(config: MeasurementConfig, say: Say) -> Measurements:
    """Read all files of a configuration. Raises MeasurementError."""
    sink = Sink()
    sink.log.life = Life(say)
    for reader in config.measurements:
        say(f"reading {reader.kind}: {listed([path.name for path in reader.path])}")
        reader.read(sink)
    measured = sink.measurements()
    for one, other in copies(measured.sources):
        measured.log.note(f"{one} and {other} hold the same bytes: is one a copy? Its rows count twice")
    baked = [
        str(column)
        for reader in config.measurements
        for column in getattr(reader, "only", {})
        if _BAKE.search(str(column))
    ]
    if baked and config.temperature is None and "retention" in measured.tables:
        measured.log.note(
            f"retention at one {baked[0]}: say it with temperature: ... C, so that the card and its estimates do"
        )
    return measured


def copies(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Pairs of files with the same contents; files of a size that no other has are not read."""
    sizes: dict[int, list[Path]] = {}
    for path in paths:
        sizes.setdefault(path.stat().st_size, []).append(path)
    pairs = []
    for group in sizes.values():
        first: dict[bytes, Path] = {}
        for path in group if len(group) > 1 else ():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            if first.setdefault(content, path) != path:
                pairs.append((first[content], path))
    return pairs


def describe(config: MeasurementConfig, say: Say = lambda text: None) -> str:
    """Read the files and say what they hold, without fitting; `say`: told what is going on. Raises MeasurementError."""
    measured = read_measurements(config, say)
    lines = []
    for role, table in measured.tables.items():
        cells = len(np.unique(table.cell()))
        lines.append(f"{role}: {len(table)} rows of {cells} cell(s) in {len(np.unique(table.sequence))} sequence(s)")
        if role == "pulses":
            kinds = conditions(table)
            for (direction, condition), count in list(kinds.items())[:MOST_KINDS]:
                word = {1: "up", -1: "down"}.get(direction, "direction not stated")
                lines.append(f"  {word}, {condition}: {count} pulses")
            if len(kinds) > MOST_KINDS:
                lines.append(f"  and {len(kinds) - MOST_KINDS} more kinds of pulses")
    for distribution in measured.distributions:
        word = "up" if distribution.direction > 0 else "down"
        states, points = len(distribution.g), len(distribution.p)
        lines.append(
            f"step distribution, device {distribution.device}, {word}: {states} states, {points} probabilities"
        )
    return "\n".join([*lines, *(f"- {line}" for line in measured.log.lines())])
