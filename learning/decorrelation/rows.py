"""The step ``R <- R - rate [a C R + diag(v) R]`` shared by methods with a diagonal term, without ever reading R.

``C R = <y q^T>`` is an outer product; ``diag(v) R`` scales the rows of R and is not. Two ways to have it:

gain     exact: the rows' scale lives in the digital output gains, ``g <- g (1 - rate v)``. Free, but where v stays negative the stored R
         shrinks while its gain grows, which costs resolution on noisy cells in very long runs at high rates (see `Matrix.refold`).
probes   in expectation: with random signs s, ``E[(v s) (R^T s)^T] = diag(v) R``: a second transposed read and more outer products, whose
         sampling noise (of the order of v / sqrt(probes)) goes into R. The gains stay 1, the conductances keep their window.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream
from analog_sim.writing.proposal import OuterProduct
from learning.decorrelation.base import Matrix, Passed

F32 = npt.NDArray[np.float32]
Diagonal = Literal["gain", "probes"]


def step(matrix: Matrix, passed: Passed, *, a: float, v: F32, rate: float, diagonal: Diagonal, stream: Stream) -> None:
    """Do one step; a: scalar, v: (n,), a probe per row of the batch."""
    batch = len(passed.y)
    if diagonal == "gain":
        if a:
            q = matrix.backward(passed.y)
            matrix.tile.update(OuterProduct(q, passed.r * np.float32(a / batch)), rate)
        matrix.gain *= np.clip(1.0 - np.float32(rate) * v, 0.5, 2.0)
        return
    signs = random_signs(stream, passed.y.shape)
    x = matrix.backward(np.concatenate([passed.y, signs]))
    d = np.concatenate([passed.r * np.float32(a / batch), signs * (v / (matrix.gain * np.float32(batch)))])
    matrix.tile.update(OuterProduct(x, d), rate)


def random_signs(stream: Stream, shape: tuple[int, ...]) -> F32:
    """Independent -1 and +1, float32, one bit of the stream each."""
    size = int(np.prod(shape))
    bits = np.unpackbits(stream.words((size + 31) // 32).view(np.uint8))[:size]
    return (bits.astype(np.float32) * np.float32(2.0) - np.float32(1.0)).reshape(shape)
