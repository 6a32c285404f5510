"""The samples of a training run in the form the network gets them, and the order in which it sees them. It never trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from analog_sim.threads import rows_of
from learning.common.identity import data_parts
from learning.common.kernels import take_rows
from learning.data.dataset import Answers, NumericTargets
from learning.data.form import formed
from learning.data.spec import DataSpec

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

WORTH_A_THREAD = 2**13
"""Numbers that are picked out of all samples."""


@dataclass(frozen=True)
class TrainData:
    """Samples (N, C, H, W), or (N, C*H*W) when flattened; x_eval are for evaluation only.

    y are labels (N,) of `classes`, or, where `targets` names numbers to be predicted, (N, n) in their normalised form.
    `source` has the digests of the data set that they are from (learning.common.identity.data_parts).
    """

    x: F32
    y: Answers
    x_eval: F32
    y_eval: Answers
    classes: tuple[str, ...]
    note: str
    source: Mapping[str, str] = field(default_factory=dict)
    targets: NumericTargets | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network gives out: classes or targets."""
        return self.classes if self.targets is None else self.targets.names

    def batch(self, index: I64) -> tuple[F32, Answers]:
        """Samples and answers of these numbers, new arrays.

        Samples lie all over the memory, so that threads share the waiting for it.
        """
        if self.x.dtype != np.float32 or not self.x.flags.carray:
            return self.x[index], self.y[index]
        x = np.empty((len(index), *self.shape), np.float32)
        rows = x.reshape(len(x), -1)
        take_rows(*rows_of(rows, WORTH_A_THREAD), self.x.reshape(len(self.x), -1), index, rows)
        return x, self.y[index]


def training_data(spec: DataSpec, validation: int) -> TrainData:
    """The samples to train on and to evaluate on: the test part, or with `validation` > 0 the last training samples.

    Raises:
        UserError: the data are not available, or nothing is left to train on.
    """
    data = formed(spec, validation)
    return TrainData(
        data.x_train,
        data.y_train,
        data.x_test,
        data.y_test,
        data.classes,
        data.note,
        data_parts(data),
        data.targets,
    )


def same_data(data: TrainData, recorded: Mapping[str, str]) -> None:
    """Raise UserError when a worker loaded other data than its run was started with: a folder or a function may give others now."""
    if changed := [what for what, digest in data.source.items() if recorded.get(what, digest) != digest]:
        raise UserError(
            f"dataset: {changed[0]}: not what the run was started with; data must not change while a run is at work, and a function "
            "must return the same at every call"
        )


class Order:
    """Which samples make up batch number i of a run: a new permutation in every epoch, the same for every arm of a seed.

    Args:
        streams: of the run; the order is in "order"/<epoch>. samples: in the data.
        batch: samples per batch; what is left at the end of an epoch is not used in it.

    Raises:
        UserError: a batch is larger than the data.
    """

    def __init__(self, streams: Streams, samples: int, batch: int) -> None:
        if batch > samples:
            raise UserError(f"batch: is {batch}, but there are only {samples} training samples")
        self._streams, self._samples, self._batch = streams, samples, batch
        self._epoch = -1
        self._permutation: I64 = np.zeros(0, np.int64)

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return self._samples // self._batch

    def __getitem__(self, number: int) -> I64:
        """Indices (batch,) of batch `number`, counted from the start of the run."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._permutation = self._streams.stream("order", epoch).permutation(self._samples)
            self._epoch = epoch
        return self._permutation[place * self._batch : (place + 1) * self._batch]
