"""The ideal digital twin: a plain torch network built from configuration, trained once and kept in the user's cache.

It never sees a chip. The same configuration on the same data gives the same bits; torch's global generator is left alone.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analog_sim._cache import user_cache_folder
from analog_sim.archive import read_archive
from analog_sim.config import UserError
from learning.data.datasets import Dataset
from learning.data.download import write_atomically
from learning.identity import digest, program_identity
from learning.network.twin_spec import ConvNetwork, LenetNetwork, MlpNetwork, TwinTraining
from learning.torch_bridge.arrays import to_numpy

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

_CONTENT = "__digest__"
"""Array of a cache file beside the weights: what they were when they were written."""

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
}
Progress = Callable[[int, int, float], None]
"""Called after every epoch with (epoch, epochs, mean training loss)."""
Named = tuple[str, nn.Module]


def build_network(
    spec: MlpNetwork | LenetNetwork | ConvNetwork, image: tuple[int, int, int], classes: int
) -> nn.Sequential:
    """Return an untrained network for images (C, H, W), initialised from torch's global generator.

    Raises:
        UserError: the images are too small for the network.
    """
    if isinstance(spec, MlpNetwork):
        sizes = (image[0] * image[1] * image[2], *spec.hidden)
        return _named([("flatten", nn.Flatten()), *_dense(sizes, classes, _ACTIVATIONS[spec.activation])])
    if isinstance(spec, LenetNetwork):
        return _lenet(spec, image, classes)
    return _conv(spec, image, classes)


def _named(layers: Iterable[Named]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _dense(
    sizes: tuple[int, ...], classes: int, activation: Callable[[], nn.Module], dropout: float = 0.0
) -> Iterator[Named]:
    for k, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        yield f"fc{k}", nn.Linear(n_in, n_out)
        yield f"act_fc{k}", activation()
        if dropout:
            yield f"dropout{k}", nn.Dropout(dropout)
    yield f"fc{len(sizes)}", nn.Linear(sizes[-1], classes)


def _lenet(spec: LenetNetwork, image: tuple[int, int, int], classes: int) -> nn.Sequential:
    channels, height, width = image
    padding = 2 if min(height, width) < 32 else 0
    out = [((n + 2 * padding - 4) // 2 - 4) // 2 for n in (height, width)]
    if min(out) < 1:
        raise UserError(f"network: lenet needs images of at least 12 x 12 (got {height} x {width})")
    first, second = spec.channels
    return _named(
        [
            ("conv1", nn.Conv2d(channels, first, 5, padding=padding)),
            ("act_conv1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(first, second, 5)),
            ("act_conv2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            *_dense((second * out[0] * out[1], *spec.hidden), classes, nn.ReLU),
        ]
    )


def _conv(spec: ConvNetwork, image: tuple[int, int, int], classes: int) -> nn.Sequential:
    channels, height, width = image
    stages: list[Named] = []
    for k, n_out in enumerate(spec.channels, start=1):
        if min(height, width) < 2:
            raise UserError(f"network: {len(spec.channels)} stages of pooling are too many for {image[1]} x {image[2]}")
        stages.append((f"conv{k}", nn.Conv2d(channels, n_out, 3, padding=1, bias=not spec.batch_norm)))
        if spec.batch_norm:
            stages.append((f"norm{k}", nn.BatchNorm2d(n_out)))
        stages += [(f"act_conv{k}", nn.ReLU()), (f"pool{k}", nn.MaxPool2d(2))]
        channels, height, width = n_out, height // 2, width // 2
    dense = _dense((channels * height * width, *spec.hidden), classes, nn.ReLU, spec.dropout)
    return _named([*stages, ("flatten", nn.Flatten()), *dense])


def train(module: nn.Module, data: Dataset, training: TwinTraining, progress: Progress | None = None) -> float:
    """Train a module in place on `data`; return the mean loss of the last epoch (nan without epochs).

    Raises:
        UserError: the loss stopped being finite.
    """
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    optimizer = _optimizer(module, training)
    steps = max(1, training.epochs * -(-len(x) // training.batch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss_of_epoch = float("nan")
    with _seeded(training.seed, training.threads):
        module.train()
        for epoch in range(training.epochs):
            total = 0.0
            for chosen in torch.randperm(len(x)).split(training.batch):
                if len(chosen) < 2 <= len(x):
                    continue  # batch normalisation has no statistics of one sample
                with _noisy_weights(module, training.weight_noise):
                    loss = F.cross_entropy(module(x[chosen]), y[chosen])
                    optimizer.zero_grad()
                    loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(chosen)
            loss_of_epoch = total / len(x)
            if not np.isfinite(loss_of_epoch):
                raise UserError(
                    f"training: the loss is {loss_of_epoch} after epoch {epoch + 1}; try a smaller training.rate "
                    f"(got {training.rate})"
                )
            if progress is not None:
                progress(epoch + 1, training.epochs, loss_of_epoch)
        module.eval()
    return loss_of_epoch


def trained_twin(
    module: Callable[[], nn.Module],
    identity: object,
    data: Dataset,
    training: TwinTraining,
    progress: Progress | None = None,
) -> tuple[nn.Module, bool]:
    """Return a trained module in evaluation mode, and whether its weights came from the cache.

    Args:
        module: makes the untrained module; called with torch's generator seeded by `training.seed`.
        identity: what tells this module from others, JSON-able: its configuration, or the digests of the user's files.
        data, training, progress: as in `train`.

    Two runs that train the same twin at once both write the same file, whole. A file that cannot be read is trained anew.
    """
    with _seeded(training.seed, training.threads):
        made = module()
    key = _key(identity, data, training)
    path = user_cache_folder() / "twins" / f"{key}.npz"
    if _restore(made, path):
        return made.eval(), True
    train(made, data, training, progress)
    buffer = io.BytesIO()
    arrays = {name: value.numpy() for name, value in made.state_dict().items()}
    np.savez(buffer, **{_CONTENT: np.array(digest(arrays)), **arrays})
    with suppress(OSError):  # a cache that cannot be written only costs the next run its time
        write_atomically(path, buffer.getvalue())
    return made.eval(), False


def predict(module: nn.Module, x: F32, batch: int = 256) -> F32:
    """Scores (N, classes) of a module for images (N, C, H, W), `batch` at a time, without gradients."""
    with torch.no_grad():
        # A copy, because x may be memory that is shared between processes, read only.
        parts = [module(torch.tensor(x[start : start + batch])) for start in range(0, len(x), batch)]
    return to_numpy(torch.cat(parts))


def _optimizer(module: nn.Module, training: TwinTraining) -> torch.optim.Optimizer:
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
    """Seed torch's generator and set its threads within the block; afterwards both are as before."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _key(identity: object, data: Dataset, training: TwinTraining) -> str:
    """Everything that decides the weights: the program and its libraries, the network, the data, the training."""
    parts = {
        "program": dict(program_identity().parts),
        "identity": identity,
        "data": [data.name, data.sha256, len(data.x_train)],
        "training": training.model_dump(mode="json"),
    }
    return digest(parts)[:32]


def _restore(module: nn.Module, path: Path) -> bool:
    """Load cached weights; False when there are none that fit, or they are not as they were written."""
    if not path.is_file():
        return False
    try:
        arrays = read_archive(path)
        if str(arrays.pop(_CONTENT, "")) != digest(arrays):
            return False
        module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (UserError, TypeError, RuntimeError):
        return False
    return True
