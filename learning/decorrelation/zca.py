"""Symmetric whitening: of all whitening matrices the one that changes the input least. A reference, see `Reference`."""

from typing import Literal

import numpy as np

from learning.decorrelation.reference import F64, Reference


class ZCA(Reference):
    """``R = S**(-1/2) = U L**(-1/2) U^T`` with S = U L U^T."""

    kind: Literal["zca"] = "zca"

    def whitening(self, s: F64) -> F64:
        """S**(-1/2)."""
        values, vectors = np.linalg.eigh(s)
        result: F64 = (vectors / np.sqrt(values)) @ vectors.T
        return result
