"""Tensors <-> numpy arrays without a copy where that is possible, and torch's share of the thread policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

F32 = npt.NDArray[np.float32]


def to_numpy(x: Tensor) -> F32:
    """Return a float32 array; it shares the tensor's memory when that is contiguous float32 on the CPU."""
    return x.detach().to("cpu", torch.float32).contiguous().numpy()


def to_torch(y: F32, like: Tensor) -> Tensor:
    """Return a tensor of the type and on the device of `like`, sharing the array's memory when these are float32, CPU."""
    return torch.from_numpy(np.ascontiguousarray(y, np.float32)).to(like.device, like.dtype)


def set_torch_threads(n: int) -> None:
    """Let torch use n threads in this process, for good. Tiles compute in numpy and numba: see `analog_sim.threads`.

    Raises:
        ValueError: n < 1.
    """
    if n < 1:
        raise ValueError(f"torch threads: got {n}, allowed: an integer >= 1")
    torch.set_num_threads(n)


@contextmanager
def torch_threads() -> Iterator[None]:
    """Whatever the block makes of torch's threads, there are as many as before when it ends."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
