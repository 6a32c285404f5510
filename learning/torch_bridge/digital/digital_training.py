"""Digital training in torch, once for every network: what was trained is kept in the user's cache.

It never sees a chip. The same configuration on the same data gives the same bits; torch's global generator is left alone.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from analog_sim._cache import user_cache_folder
from analog_sim.archive import read_archive
from analog_sim.config import UserError
from learning.common.convergence import STILL_TO_GAIN, to_gain
from learning.common.identity import digest, program_identity
from learning.data.dataset import Dataset, NumericTargets
from learning.data.download import write_atomically
from learning.network.training_spec import DigitalTraining
from learning.torch_bridge.arrays import to_numpy
from learning.torch_bridge.digital.loss import torch_loss

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

_CONTENT = "__digest__"
"""Array of a cache file beside the weights: what they were when they were written."""

_CONVERGENCE = "convergence of training"
"""Entry of a cached network beside its weights."""
Progress = Callable[[int, int, float], None]
"""Called after every epoch with (epoch, epochs, mean training loss)."""


@dataclass(frozen=True)
class Convergence:
    """How far training came, judged by training alone.

    Attributes:
        epochs: trained. half, last: share of training samples classified rightly, or R2 of the numbers predicted, while they were learned,
            in the epoch at half of the training and in the last one; nan without epochs. numeric: whether it is R2.
    """

    epochs: int
    half: float
    last: float
    numeric: bool = False

    @property
    def to_gain(self) -> float:
        """What more epochs may still gain on the training samples."""
        return to_gain(self.half, self.last) if self.epochs > 1 else 1.0

    @property
    def reached(self) -> bool:
        """Whether the network has converged."""
        return bool(self.to_gain <= STILL_TO_GAIN)  # nan is not

    def sentence(self) -> str:
        """What a reader has to know; empty when the network has converged."""
        if self.reached:
            return ""
        if self.epochs < 2:
            return f"the digital network has not converged: it was trained for {self.epochs} epochs (training.epochs)."
        if self.numeric:
            return (
                f"the digital network has not converged: in the second half of its {self.epochs} epochs its R2 on the training samples "
                f"still went from {self.half:.4f} to {self.last:.4f}; more training.epochs may change every figure here."
            )
        return (
            f"the digital network has not converged: in the second half of its {self.epochs} epochs its accuracy on the training images "
            f"still went from {100 * self.half:.2f} to {100 * self.last:.2f} %; more training.epochs may change every figure here."
        )


def train(module: nn.Module, data: Dataset, training: DigitalTraining, progress: Progress | None = None) -> Convergence:
    """Train a module in place on `data`; return how far it came.

    Raises:
        UserError: the loss stopped being finite.
    """
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    optimizer = _optimizer(module, training)
    epochs = training.epochs_for(len(x))
    steps = max(1, epochs * -(-len(x) // training.batch))
    loss_of = torch_loss(training.loss)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shares: list[float] = []
    with _seeded(training.seed, training.threads):
        module.train()
        for epoch in range(epochs):
            total, good = 0.0, 0.0
            for chosen in torch.randperm(len(x)).split(training.batch):
                if len(chosen) < 2 <= len(x):
                    continue  # batch normalisation has no statistics of one sample
                with _noisy_weights(module, training.weight_noise):
                    scores = module(x[chosen])
                    loss = loss_of(scores, y[chosen])
                    optimizer.zero_grad()
                    loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(chosen)
                good += _good(scores.detach(), y[chosen], data.targets)
            loss_of_epoch = total / len(x)
            shares.append(good / len(x))
            if not np.isfinite(loss_of_epoch):
                raise UserError(
                    f"training: the loss is {loss_of_epoch} after epoch {epoch + 1}; try a smaller training.rate "
                    f"(got {training.rate})"
                )
            if progress is not None:
                progress(epoch + 1, epochs, loss_of_epoch)
        module.eval()
    numeric = data.targets is not None
    if not shares:
        return Convergence(0, float("nan"), float("nan"), numeric)
    return Convergence(epochs, shares[max(0, -(-epochs // 2) - 1)], shares[-1], numeric)


def _good(scores: Tensor, y: Tensor, targets: NumericTargets | None) -> float:
    """Samples of a batch that are classified rightly; of numeric targets, which have variance 1, ``sum_b 1 - mean_c (o - t)**2``."""
    if targets is None:
        return float((scores.argmax(dim=1) == y).sum())
    return float((1.0 - (scores - y).square().mean(dim=1)).sum())


def trained_network(
    module: Callable[[], nn.Module],
    identity: object,
    data: Dataset,
    training: DigitalTraining,
    progress: Progress | None = None,
) -> tuple[nn.Module, Convergence, bool]:
    """Return a trained module in evaluation mode, how far it came, and whether its weights came from the cache.

    Args:
        module: makes the untrained module; called with torch's generator seeded by `training.seed`.
        identity: what tells this module from others, JSON-able: its configuration, or the digests of the user's code. The weights that it
            starts with count as well, which may come from elsewhere.
        data, training, progress: as in `train`.

    Two runs that train the same network at once both write the same file, whole. A file that cannot be read is trained anew.
    """
    with _seeded(training.seed, training.threads):
        made = module()
    key = _key([identity, _digest(made)], data, training)
    path = user_cache_folder() / "networks" / f"{key}.npz"
    before = _restore(made, path, data.targets is not None)
    if before is not None:
        return made.eval(), before, True
    found = train(made, data, training, progress)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = _tensors(made)
    arrays[_CONVERGENCE] = np.array([found.epochs, found.half, found.last])
    np.savez(buffer, **{_CONTENT: np.array(digest(arrays)), **arrays})
    with suppress(OSError):  # a cache that cannot be written only costs the next run its time
        write_atomically(path, buffer.getvalue())
    return made.eval(), found, False


def predict(module: nn.Module, x: F32, batch: int = 256) -> F32:
    """Scores (N, classes) of a module for images (N, C, H, W), `batch` at a time, without gradients."""
    with torch.no_grad():
        # A copy, because x may be memory that is shared between processes, read only.
        parts = [module(torch.tensor(x[start : start + batch])) for start in range(0, len(x), batch)]
    return to_numpy(torch.cat(parts))


def _optimizer(module: nn.Module, training: DigitalTraining) -> torch.optim.Optimizer:
    parameters: Iterable[Tensor] = module.parameters()
    if training.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=training.rate, weight_decay=training.weight_decay)
    return torch.optim.SGD(parameters, lr=training.rate, momentum=0.9, weight_decay=training.weight_decay)


@contextmanager
def _noisy_weights(module: nn.Module, noise: float) -> Iterator[None]:
    """Within the block, matrices and kernels carry Gaussian noise of `noise` times their largest weight."""
    if not noise:
        yield
        return
    weights = [p for p in module.parameters() if p.dim() > 1]
    clean = [p.detach().clone() for p in weights]
    try:
        with torch.no_grad():
            for p in weights:
                p.add_(torch.randn_like(p), alpha=noise * float(p.abs().max()))
        yield
    finally:
        with torch.no_grad():
            for p, before in zip(weights, clean, strict=True):
                p.copy_(before)


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python, and set torch's threads within the block; afterwards all are as before."""
    before, numpys = torch.get_num_threads(), np.random.get_state()  # noqa: NPY002
    pythons = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 -- the user's own modules may draw from these two
        random.seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            np.random.set_state(numpys)  # noqa: NPY002
            random.setstate(pythons)


def _key(identity: object, data: Dataset, training: DigitalTraining) -> str:
    """Everything that decides the weights: the program and its libraries, the network, the data, the training."""
    parts = {
        "program": dict(program_identity().parts),
        "identity": identity,
        "data": [data.name, data.sha256, len(data.x_train)],
        "training": training.model_dump(mode="json") | {"epochs": training.epochs_for(len(data.x_train))},
    }
    return digest(parts)[:32]


def _tensors(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    state = module.state_dict()
    return {name: value.detach().numpy() for name, value in state.items() if isinstance(value, Tensor)}


def _digest(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers; "" when some of them do not exist yet (lazy layers)."""
    if any(is_lazy(value) for value in module.state_dict().values()):
        return ""
    return digest(_tensors(module))


def _restore(module: nn.Module, path: Path, numeric: bool) -> Convergence | None:
    """Load cached weights and return how far they came; None when none fit, or they are not as they were written."""
    if not path.is_file():
        return None
    try:
        arrays = read_archive(path)
        if str(arrays.pop(_CONTENT, "")) != digest(arrays):
            return None
        epochs, half, last = (float(value) for value in arrays.pop(_CONVERGENCE))
        module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (UserError, KeyError, ValueError, TypeError, RuntimeError):
        return None
    return Convergence(int(epochs), half, last, numeric)
