"""Whitening by the inverse Cholesky factor (Gram-Schmidt): each output uses only earlier inputs. A reference, see `Reference`."""

from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular

from learning.decorrelation.reference import F64, Reference


class Cholesky(Reference):
    """``R = L**(-1)`` with S = L L^T, lower triangular."""

    kind: Literal["cholesky"] = "cholesky"

    def whitening(self, s: F64) -> F64:
        """L**(-1)."""
        result: F64 = solve_triangular(np.linalg.cholesky(s), np.eye(len(s)), lower=True)
        return result
