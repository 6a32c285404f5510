"""Checkpoints of a training run: its state as one file, whole or not at all.

A checkpoint says what it is of (an arm, its seed and all that decides its results): one of another arm is refused, whatever its shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analog_sim.archive import one_line
from analog_sim.config import UserError
from analog_sim.saved_state import State
from analog_sim.state_file import read_state, write_state
from learning.experiments.runs.files import writing

ANEW = "delete its folder to train this arm anew"


def save(path: Path, state: State) -> None:
    """Write `state` (see `write_state`). Raises UserError when the file cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(path, state)


def load(path: Path) -> State | None:
    """Read what `save` wrote, as it stands there (`taken` makes it a record); None when there is no file. Raises UserError."""
    return read_state(path, "a readable checkpoint", ANEW) if path.exists() else None


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Within the block a checkpoint is put back: one that does not fit becomes one line. Raises UserError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: not a checkpoint of this arm ({one_line(error)}); {ANEW}") from error
