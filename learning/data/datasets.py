"""Data sets by name, for scripts: `load("digits")`. One data set is one file of this folder. It never trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analog_sim.config import UserError, discover
from analog_sim.config.errors import did_you_mean
from learning.data.dataset import Dataset
from learning.data.published import Published

__all__ = ["Dataset", "load", "names"]


def names() -> tuple[str, ...]:
    """Of the data sets that `load` knows."""
    return tuple(discover("learning.data", Published))


def load(name: str, *, root: Path | None = None, limit: int | None = None) -> Dataset:
    """Return a published data set by name.

    Args:
        name: one of `names()`.
        root: folder that holds `<name>.npz`; by default the one that the environment variable ANALOG_SIM_DATA names.
        limit: keep the first `limit` training and the first `limit` test images; None keeps all. The files order their
            images without regard to the class, so the first ones are a fair sample.

    Raises:
        UserError: unknown name; a file that is not what its name says; the data are nowhere and cannot be downloaded.
    """
    known = discover("learning.data", Published)
    if name not in known:
        raise UserError(f"unknown data set '{name}'{did_you_mean(name, known) or ';'} allowed: {', '.join(known)}")
    if limit is not None and limit < 1:
        raise UserError(f"data set '{name}': limit must be at least 1 (got {limit})")
    data = known[name].model_validate({}).read(root)
    return replace(
        data,
        x_train=data.x_train[:limit],
        y_train=data.y_train[:limit],
        x_test=data.x_test[:limit],
        y_test=data.y_test[:limit],
    )
