"""The configuration of a run that goes on: what its user leaves out is as the run was started with. It never reads a result."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from analog_sim.config import StrictModel, UserError, refilled
from learning.runs import CONFIG

M = TypeVar("M", bound=StrictModel)


def as_started(config: M, out: Path | None) -> M:
    """`config` with the keys that were left out taken from the run in `out`, though the program's defaults may have changed since.

    Unchanged when there is no run, or its configuration makes no sense together with this one: `RunDirectory.create` says what differs.
    """
    if out is None or not (out / CONFIG).is_file():
        return config
    try:
        return refilled(config, out / CONFIG)
    except (UserError, OSError, ValueError):
        return config
