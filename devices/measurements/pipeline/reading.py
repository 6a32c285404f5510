"""All files of a configuration read into tables, and a description of what they hold. It never fits."""

from collections.abc import Callable

import numpy as np

from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.traces import conditions
from devices.measurements.table.sink import Measurements, Sink

MOST_KINDS = 12
"""Kinds of pulses that a description lists."""

Say = Callable[[str], None]


def read_measurements(config: MeasurementConfig, say: Say) -> Measurements:
    """Read all files of a configuration. Raises MeasurementError."""
    sink = Sink()
    for reader in config.measurements:
        say(f"reading {reader.kind}: {', '.join(path.name for path in reader.path)}")
        reader.read(sink)
    return sink.measurements()


def describe(config: MeasurementConfig) -> str:
    """Read the files and say what they hold, without fitting. Raises MeasurementError."""
    measured = read_measurements(config, lambda text: None)
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
