"""The images of a training run in the form the network gets them, and the order in which it sees them. It never trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from learning.common.identity import data_parts
from learning.data.datasets import load
from learning.experiments.configs.estimate import DataSpec

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainData:
    """Images (N, C, H, W), or (N, C*H*W) when flattened, with labels (N,); x_eval are for evaluation only.

    `source` has the digests of the data set that they are from (learning.common.identity.data_parts).
    """

    x: F32
    y: I64
    x_eval: F32
    y_eval: I64
    classes: tuple[str, ...]
    note: str
    source: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.x.shape[1:])


@lru_cache(maxsize=2)
def training_data(spec: DataSpec, validation: int) -> TrainData:
    """Load the images; with `validation` > 0 the last training images are for evaluation instead of the test images.

    Raises:
        UserError: the data cannot be had, or nothing is left to train on.
    """
    data = load(spec.name)
    x, y = _form(spec, data.x_train, spec.train_limit), data.y_train[: spec.train_limit]
    if validation >= len(x):
        raise UserError(f"validation: holds out {validation} of {len(x)} training images; allowed: fewer")
    if validation:
        cut = len(x) - validation
        return TrainData(x[:cut], y[:cut], x[cut:], y[cut:], data.classes, data.note, data_parts(data))
    x_test, y_test = _form(spec, data.x_test, spec.test_limit), data.y_test[: spec.test_limit]
    return TrainData(x, y, x_test, y_test, data.classes, data.note, data_parts(data))


def _form(spec: DataSpec, x: F32, limit: int | None) -> F32:
    x = x[:limit]
    mean, std = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (spec.mean, spec.std))
    if mean.any() or (std != 1).any():
        x = (x - mean) / std
    return x.reshape(len(x), -1) if spec.flatten else x


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
