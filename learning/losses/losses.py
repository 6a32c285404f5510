"""Losses by name, for scripts. One loss is one file of this folder."""

from typing import Annotated, Any

from pydantic import PlainSerializer

from analog_sim.config import UserError, discover, one_of
from analog_sim.config.errors import did_you_mean
from learning.losses.base import Loss


def _as_written(loss: Loss) -> Any:
    """Its bare kind where that says all."""
    dumped = loss.model_dump()
    return dumped if len(dumped) > 1 else loss.kind


AnyLoss = Annotated[Loss, one_of("learning.losses", Loss), PlainSerializer(_as_written)]
"""Field of an experiment that holds any loss."""


def check_loss(loss: Loss, numeric: bool, where: str) -> None:
    """Raise UserError where a loss of classes meets numeric targets; where: the key that names it."""
    if numeric and not loss.numbers:
        known = discover("learning.losses", Loss)  # type: ignore[type-abstract]
        allowed = ", ".join(name for name, kind in known.items() if kind.numbers)
        raise UserError(
            f"{where}: {loss.kind} is for classes, the data have numbers to be predicted; allowed: {allowed} (or give labels as whole "
            "numbers or texts)"
        )


def make_loss(name: str) -> Loss:
    """Loss by its name in the YAML. Raises UserError."""
    known = discover("learning.losses", Loss)  # type: ignore[type-abstract]
    if name not in known:
        raise UserError(f"unknown loss '{name}'{did_you_mean(name, known) or ';'} allowed: {', '.join(known)}")
    return known[name].model_validate({})
