"""How correlated and how far from white a batch is; both are free of scale and never form the n x n correlation matrix."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


def _moments(y: F32) -> tuple[float, float, float]:
    """||C||_F**2, sum_i C_ii**2 and tr C of C = <y y^T>, through the smaller of the two Gram matrices."""
    y = y.astype(np.float32, copy=False) - y.mean(axis=0, dtype=np.float32)
    batch, n = y.shape
    gram = (y @ y.T if batch < n else y.T @ y).astype(np.float64) / batch
    variance = np.einsum("bi,bi->i", y, y).astype(np.float64) / batch
    return float((gram * gram).sum()), float((variance * variance).sum()), float(variance.sum())


def correlation_loss(y: F32) -> float:
    """``sum_(i != j) C_ij**2 / (sum_i C_ii)**2``, C the covariance of y (B, n): 0 when decorrelated, below 1; 0 for a constant y.

    With B samples of independent outputs it is about 1 / B, not 0: compare values of the same B.
    """
    total, diagonal, trace = _moments(y)
    return max(0.0, (total - diagonal) / trace**2) if trace > 0.0 else 0.0
