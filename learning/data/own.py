"""What the user's own data share: checks with one clear line, the split, and the order. It never reads a file.

Samples are given as arrays in any of the usual number types. Whole images of bytes (uint8) are scaled to [0, 1] as published ones are;
everything else stays as it is and becomes float32. Samples of two dimensions (H, W) get one channel.
Whole numbers and texts are labels of classes; floating-point numbers are targets to be predicted (regression).
"""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from analog_sim.config import UserError, refuse
from analog_sim.config.yaml12 import Text
from learning.data.dataset import F32, Answers, Dataset, NumericTargets, part_digest, whole_digest
from learning.data.spec import DataSpec

Array = npt.NDArray[Any]
SEED = 0
"""Of the order and of the held-out part: the same in every run."""
NAMES = ("classes", "targets")
"""Arrays that name the labels 0, 1, ..., or the numbers to be predicted."""
_SHOWN = 5


class OwnData(DataSpec, ABC):
    """The user's own data.

    Attributes:
        test_fraction: share of the samples that is held out as the test part where the data have none.
        order: "shuffled": both parts come in one fixed random order, so that the first so many and the last so many are fair samples,
            and the held-out part has the same share of every class; "kept": as in the data, the last ones held out, as for a series
            whose neighbours are alike. Where numbers are predicted, the held-out part is a random one.
        shape: of one sample as the network gets it, where that is not its shape in the data.
    """

    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    order: Literal["shuffled", "kept"] = "shuffled"
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=10**6)], ...], Field(min_length=1)] | None = None

    @property
    def numeric(self) -> bool | None:
        """Only reading the data tells."""
        return None

    def made(
        self,
        name: str,
        where: str,
        train: tuple[Array, Array],
        test: tuple[Array, Array] | None,
        names: Sequence[str] | None = None,
    ) -> Dataset:
        """The checked data set.

        Args:
            name: of the data set. where: what messages begin with. train, test: samples (N, ...) with labels (N,), whole numbers or
            texts, or with numeric targets (N,) or (N, n), floating-point; without a test part it is held out of the training part.
            names: of the labels 0, 1, ..., by default the labels themselves; or of the targets.

        Raises:
            UserError: a part is empty, shapes or labels do not fit, a value is not finite, a class is missing in the training part.
        """
        parts = {"train": train} if test is None else {"train": train, "test": test}
        x = {part: self._samples(f"{where}: x_{part}", pair[0]) for part, pair in parts.items()}
        numeric = any(pair[1].dtype.kind == "f" for pair in parts.values())
        for part, pair in parts.items():
            (_check_targets if numeric else _check_labels)(f"{where}: y_{part}", pair[1], len(x[part]))
        if test is not None and x["train"].shape[1:] != x["test"].shape[1:]:
            raise UserError(
                f"{where}: samples of the training part have shape {x['train'].shape[1:]}, of the test part {x['test'].shape[1:]}"
            )
        given = {part: pair[1] for part, pair in parts.items()}
        y: dict[str, Answers]
        y, outputs = (_measured if numeric else _numbered)(where, given, names)
        notes: list[str] = []
        if test is None:
            x, y = self._held_out(where, x["train"], y["train"], outputs)
            notes.append(
                f"{name}: has no test part; {len(y['test'])} of {len(y['test']) + len(y['train'])} samples were held out as one "
                + (
                    "(the last ones)."
                    if self.order == "kept"
                    else f"(drawn with seed {SEED}{'' if numeric else ', the same share of every class'})."
                )
            )
        elif self.order == "shuffled":
            for part in parts:
                order = np.random.default_rng(SEED).permutation(len(y[part]))
                x[part], y[part] = x[part][order], y[part][order]
        if not numeric:
            notes += _check_classes(name, where, y, outputs)
        repeated = _repeated(x["train"], x["test"])
        if repeated:
            notes.append(
                f"{name}: {repeated} of {len(x['test'])} test samples are training samples too: no figure of unseen data comes from them."
            )
        halves = (_digest(x["train"], y["train"], outputs), _digest(x["test"], y["test"], outputs))
        of_train, of_test = halves
        return Dataset(
            name=name,
            x_train=x["train"],
            y_train=y["train"],
            x_test=x["test"],
            y_test=y["test"],
            classes=() if numeric else outputs,
            targets=NumericTargets.plain(outputs) if numeric else None,
            sha256=whole_digest(*halves),
            note=" ".join(notes),
            sha256_train=of_train,
            sha256_test=of_test,
        )

    def _samples(self, where: str, x: Array) -> F32:
        if x.dtype.hasobject or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
            raise UserError(f"{where}: must be real numbers (got {x.dtype})")
        if x.ndim < 2 or x.size == 0:
            raise UserError(
                f"{where}: must be samples of at least one number, first axis the samples (got shape {x.shape})"
            )
        with np.errstate(over="ignore"):
            found: F32 = x.astype(np.float32)
        broken = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1))
        if broken.size:
            raise UserError(
                f"{where}: {broken.size} samples hold NaN, infinity or more than float32 holds, first {broken[0]}"
            )
        if x.dtype == np.uint8:
            found *= np.float32(1.0 / 255)
        if self.shape is not None:
            if np.prod(self.shape) != np.prod(x.shape[1:]):
                raise UserError(f"{where}: samples of shape {x.shape[1:]} cannot take dataset.shape {self.shape}")
            return found.reshape(len(found), *self.shape)
        return found[:, None] if found.ndim == 3 else found

    def _held_out(
        self, where: str, x: F32, y: Answers, names: Sequence[str]
    ) -> tuple[dict[str, F32], dict[str, Answers]]:
        """A test part out of the training part."""
        n = len(y)
        if self.order == "kept":
            cut = n - max(1, round(self.test_fraction * n))
            chosen, rest = np.arange(cut, n), np.arange(cut)
        elif y.dtype.kind == "f":
            order = np.random.default_rng(SEED).permutation(n)
            cut = max(1, round(self.test_fraction * n))
            chosen, rest = order[:cut], order[cut:]
        else:
            order = np.random.default_rng(SEED).permutation(n)
            test = np.zeros(n, bool)
            for label in range(len(names)):
                own = order[y[order] == label]
                if len(own) == 1:
                    raise UserError(
                        f"{where}: class '{names[label]}' has one sample; a held-out test part needs at least 2"
                        + (
                            f" ({len(names)} classes of {n} samples: are these numbers to be predicted?)"
                            if 2 * len(names) > n > 2
                            else ""
                        )
                    )
                test[own[: max(1, round(self.test_fraction * len(own)))]] = True
            chosen, rest = order[test[order]], order[~test[order]]
        if not len(rest):
            raise UserError(
                f"{where}: dataset.test_fraction {self.test_fraction:g} of {n} samples leaves none to train on"
            )
        return {"train": x[rest], "test": x[chosen]}, {"train": y[rest], "test": y[chosen]}


def names_of(arrays: Mapping[str, Array], where: str) -> list[str] | None:
    """What the labels or the targets are called, None where nothing says. Raises UserError."""
    told = [key for key in NAMES if key in arrays]
    if not told:
        return None
    names, numeric = arrays[told[0]], arrays["y_train"].dtype.kind == "f"
    wanted = NAMES[int(numeric)]
    if told != [wanted]:
        what = "floating-point numbers to be predicted" if numeric else "labels of classes"
        raise UserError(
            f"{where}: y_train holds {what} ({arrays['y_train'].dtype}); allowed: {wanted} (got {', '.join(told)})"
        )
    if names.ndim != 1 or names.dtype.kind != "U":
        raise UserError(f"{where}: {wanted}: must be a list of texts (got {names.dtype} {names.shape})")
    return [str(name) for name in names]


def _check_labels(where: str, y: Array, samples: int) -> None:
    if y.shape != (samples,):
        raise UserError(f"{where}: must be {samples} labels, one per sample (got shape {y.shape})")
    if y.dtype.kind not in "iuU":
        raise UserError(
            f"{where}: must be labels, whole numbers or texts, or floating-point numbers to be predicted (got {y.dtype})"
        )


def _check_targets(where: str, y: Array, samples: int) -> None:
    if y.dtype.kind not in "fiu":
        raise UserError(f"{where}: targets must be numbers, as in the other part (got {y.dtype})")
    if y.ndim not in (1, 2) or len(y) != samples or y.size == 0:
        raise UserError(
            f"{where}: must be targets of {samples} samples, of shape ({samples},) or ({samples}, n) (got shape {y.shape})"
        )
    with np.errstate(over="ignore"):
        broken = np.flatnonzero(~np.isfinite(y.astype(np.float32).reshape(samples, -1)).all(axis=1))
    if broken.size:
        raise UserError(
            f"{where}: {broken.size} targets are NaN, infinite or more than float32 holds, first of sample {broken[0]}"
        )


def _measured(
    where: str, y: dict[str, Array], names: Sequence[str] | None
) -> tuple[dict[str, Answers], tuple[str, ...]]:
    """Targets as float32 (N, n) and what they are called."""
    found: dict[str, Answers] = {
        part: targets.astype(np.float32).reshape(len(targets), -1) for part, targets in y.items()
    }
    widths = {part: targets.shape[1] for part, targets in found.items()}
    n = widths["train"]
    if len(set(widths.values())) > 1:
        raise UserError(f"{where}: y_train has {n} targets a sample, y_test {widths['test']}")
    if names is None:
        return found, ("target",) if n == 1 else tuple(f"target {k}" for k in range(n))
    if len(names) != n:
        raise UserError(f"{where}: {len(names)} names for {n} targets a sample ({_listed(names)})")
    return found, tuple(names)


def _numbered(
    where: str, y: dict[str, Array], classes: Sequence[str] | None
) -> tuple[dict[str, Answers], tuple[str, ...]]:
    """Labels as 0, 1, ... and what they mean."""
    kinds = {part: labels.dtype.kind == "U" for part, labels in y.items()}
    if len(set(kinds.values())) > 1:
        raise UserError(f"{where}: labels are texts in one part and numbers in the other")
    if classes is None:
        found = np.unique(np.concatenate(list(y.values())))
        return {part: np.searchsorted(found, labels).astype(np.int64) for part, labels in y.items()}, tuple(
            map(str, found)
        )
    if any(kinds.values()):
        raise UserError(f"{where}: where classes are named, labels must be their numbers, from 0 (got texts)")
    for part, labels in y.items():
        if labels.min() < 0 or labels.max() >= len(classes):
            raise UserError(
                f"{where}: y_{part}: labels must be 0 to {len(classes) - 1}, one per class (got {labels.min()} to {labels.max()})"
            )
    return {part: labels.astype(np.int64) for part, labels in y.items()}, tuple(classes)


def _check_classes(name: str, where: str, y: dict[str, Answers], names: Sequence[str]) -> list[str]:
    """Notes on classes without test samples. Raises UserError on classes that cannot be learned."""
    if len(names) < 2:
        raise UserError(f"{where}: needs at least 2 classes (got {len(names)}: {_listed(names)})")
    counts = {part: np.bincount(labels, minlength=len(names)) for part, labels in y.items()}
    missing = {part: [names[int(k)] for k in np.flatnonzero(count == 0)] for part, count in counts.items()}
    if missing["train"]:
        raise UserError(f"{where}: the training part has no samples of class {_listed(missing['train'])}")
    if missing["test"]:
        return [
            f"{name}: the test part has no samples of class {_listed(missing['test'])}: its accuracy is not in the figures."
        ]
    return []


def _repeated(train: F32, test: F32) -> int:
    """Test samples that are training samples too, to the bit."""
    seen = {hash(sample.tobytes()) for sample in train}
    return sum(hash(sample.tobytes()) in seen for sample in test)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


def _digest(x: F32, y: Answers, names: Sequence[str]) -> str:
    """Of a part and of what its labels or targets mean."""
    return whole_digest(part_digest(x, y), repr(tuple(names)))


def _beside(value: object) -> object:
    """A path, or path:name, relative to the YAML file that it is written in, as an absolute one."""
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise refuse("must be a path")
    folder = value.folder if isinstance(value, Text) else None
    return os.path.abspath((folder or Path.cwd()) / Path(value).expanduser())


Place = Annotated[str, BeforeValidator(_beside)]
"""A folder, or file.py:function. Kept as text, because a run is bound to the samples that are found there."""


def file_stamp(*paths: Path | None) -> tuple[int, ...]:
    """Time, size and number of files."""
    found: list[int] = []
    for path in paths:
        if path is not None and path.exists():
            state = path.stat()
            found += [state.st_mtime_ns, state.st_size, state.st_ino]
    return tuple(found)
