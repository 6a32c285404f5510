"""Known inputs of a drift compensation: rows of a Walsh-Hadamard matrix, so that what they say of a matrix is not blurred by chance.

The gain of a compensation is ``<y_0, y_0> / <y_0, y>`` over outputs ``y = W x``. Its sums estimate those over weights, because
``sum_k x_ki x_kj`` is K for i = j and should be 0 otherwise. For K independent random signs that sum has the variance K, and what does
not cancel adds a scatter of ``sqrt(n_in / K)`` times the one that the weights themselves leave. For K of the N rows of a Hadamard matrix
(N the power of two from n_in on) the variance is ``K (1 - K / N)``: none with all of them. Inputs of full scale for every line
make the signal of a read largest against converters and read noise; one-hot inputs cost as many reads and see sqrt(n_in) times more noise.

Sd of the global gain (1.995) over chips, a year of the PCM formulas, Gaussian weights 256 x 256, silent reads: 32 random inputs 0.0035, 256
random 0.0020, 256 Hadamard 0.0016, which is all the drift itself; 256 one-hot inputs and magnitudes 0.0014, but 0.7 % off the gain that is
best for products, and blurred more by noise. It never reads a chip.

Source: Hedayat & Wallis, Ann. Stat. 6, 1184 (1978), doi:10.1214/aos/1176344370 (weighing designs).
"""

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream

F32 = npt.NDArray[np.float32]

MOST = 1024
"""Known inputs unless the configuration says otherwise; a tile of more lines is measured with so many rows, which is not complete."""

_LOW = 64
"""Lines whose number differs in the lower bits alone."""


class Probes:
    """The known inputs of one tile.

    Args:
        lines: inputs of the tile. count: how many inputs; None for a complete set, at most `MOST`.
        stream: signs of the lines, and which rows are taken.
    """

    def __init__(self, lines: int, count: int | None, stream: Stream) -> None:
        order = 1 << (lines - 1).bit_length()
        count = min(order, MOST) if count is None else count
        self._signs = np.where(stream.uniforms((lines,)) < 0.5, -1.0, 1.0).astype(np.float32)
        rows = stream.permutation(order)
        self._rows = np.resize(rows, count)  # more than there are: again from the first

    def inputs(self) -> F32:
        """All of them, (count, lines), +-1."""
        # Element (r, c) of a Hadamard matrix in natural order is -1 to the number of bits that r and c share (Sylvester): the product of
        # those of the upper and of the lower bits.
        lines = len(self._signs)
        upper = np.arange(-(-lines // _LOW)) * _LOW
        rows = np.empty((len(self._rows), len(upper), _LOW), np.float32)
        np.multiply(_parity(self._rows, upper)[:, :, None], _parity(self._rows, np.arange(_LOW))[:, None, :], out=rows)
        flat = rows.reshape(len(rows), -1)[:, :lines]
        flat *= self._signs
        return np.ascontiguousarray(flat)


def _parity(rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> F32:
    """-1 to the number of bits that r and c share, (rows, cols)."""
    shared = np.bitwise_count(rows[:, None] & cols[None, :])
    return np.where(shared & 1, np.float32(-1.0), np.float32(1.0))
