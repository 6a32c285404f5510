"""The configuration of a run that goes on: what its user leaves out is as the run was started with. It never reads a result."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from analog_sim.config import StrictModel, UserError, refilled
from learning.experiments.runs.run_folder import CONFIG

M = TypeVar("M", bound=StrictModel)


def as_started(config: M, out: Path | None, free: Collection[str] = ()) -> M:
    """`config` with the keys that were left out taken from the run in `out`, though the program's defaults may have changed since.

    Top-level keys in `free` are no part of what a finished task depends on: they stay as they are. Unchanged when there is no run, or
    when its configuration makes no sense together with this one: `RunDirectory.create` says what differs.
    """
    if out is None or not (out / CONFIG).is_file():
        return config
    try:
        before = refilled(config, out / CONFIG)
    except (UserError, OSError, ValueError):
        return config
    return before.model_copy(update={name: getattr(config, name) for name in free})
