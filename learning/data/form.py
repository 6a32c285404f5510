"""The samples of a data set in the form a network gets them, and how they are split: the one place for both. It never reads a file."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.data.dataset import F32, Answers, Dataset, NumericTargets
from learning.data.spec import DataSpec

F64 = npt.NDArray[np.float64]


def formed(spec: DataSpec, validation: int = 0) -> Dataset:
    """Read the samples, split them and bring them into the form of the network.

    Limits come first. With `validation` > 0 the last so many training samples are held out and take the place of the test part, which
    is then not looked at: for searches. A normalisation, of the samples or of numeric targets, is found from the training samples that are
    left, and from nothing else.

    Raises:
        UserError: the data are not available, nothing is left to train on, or a numeric target does not vary.
    """
    return _formed(spec, validation, spec.stamp())


@lru_cache(maxsize=2)
def _formed(spec: DataSpec, validation: int, stamp: tuple[int, ...]) -> Dataset:
    """`stamp` is here so that data which changed are read again."""
    data = spec.read()
    x, y = data.x_train[: spec.train_limit], data.y_train[: spec.train_limit]
    x_test, y_test = data.x_test[: spec.test_limit], data.y_test[: spec.test_limit]
    if validation >= len(x):
        raise UserError(
            f"validation: holds out {validation} of {len(x)} training samples; allowed: fewer (of a search: --hold-out)"
        )
    if validation:
        cut = len(x) - validation
        x, y, x_test, y_test = x[:cut], y[:cut], x[cut:], y[cut:]
    offset, scale = _normalisation(spec, x)
    targets = None if data.targets is None else _scaled(data, data.targets, y, y_test)
    if targets is not None:
        y, y_test = ((part - targets.offset) / targets.scale for part in (y, y_test))
    return replace(
        data,
        x_train=_form(spec, x, offset, scale),
        y_train=y,
        x_test=_form(spec, x_test, offset, scale),
        y_test=y_test,
        targets=targets,
    )


def _scaled(data: Dataset, targets: NumericTargets, y: Answers, y_test: Answers) -> NumericTargets:
    """Mean and standard deviation of the targets (N, n) of the training part. Raises UserError when one does not vary."""
    for what, part, why in (
        ("training", y, "there is nothing to learn"),
        ("test", y_test, "R2 compares with their variance"),
    ):
        still = [name for name, same in zip(targets.names, np.ptp(part, axis=0) == 0.0, strict=True) if same]
        if still:
            raise UserError(
                f"dataset: {data.name}: target '{still[0]}' is the same in all {len(part)} {what} samples: {why}"
            )
    offset, scale = y.mean(axis=0, dtype=np.float64), y.std(axis=0, dtype=np.float64)
    return replace(targets, offset=offset.astype(np.float32), scale=scale.astype(np.float32))


def _normalisation(spec: DataSpec, x: F32) -> tuple[F32, F32]:
    """What is subtracted from a sample and what it is divided by, from the training samples x (N, ...)."""
    # One number per feature of vectors, per channel of everything else.
    per = (-1,) + (1,) * (x.ndim - 2)
    if spec.normalise is None:
        for key, values in (("mean", spec.mean), ("std", spec.std)):
            if len(values) not in (1, x.shape[1]):
                what = "feature" if x.ndim == 2 else "channel"
                raise UserError(
                    f"dataset.{key}: must be one number or one per {what} ({x.shape[1]}) (got {len(values)})"
                )
        return np.array(spec.mean, np.float32).reshape(per), np.array(spec.std, np.float32).reshape(per)
    axes = (0, *range(2, x.ndim))
    if spec.normalise == "standard":
        low: F64 = x.mean(axis=axes, dtype=np.float64)
        width: F64 = x.std(axis=axes, dtype=np.float64)
    else:
        low = x.min(axis=axes).astype(np.float64)
        width = x.max(axis=axes).astype(np.float64) - low
    width[width == 0.0] = 1.0  # a feature that is the same in all training samples
    return low.astype(np.float32).reshape(per), width.astype(np.float32).reshape(per)


def _form(spec: DataSpec, x: F32, offset: F32, scale: F32) -> F32:
    if offset.any() or (scale != 1).any():
        x = x - offset
        x /= scale
    return x.reshape(len(x), -1) if spec.flatten else x
