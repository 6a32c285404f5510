"""Whitening along the principal axes. A reference, see `Reference`; it never keeps an output where its input was."""

from typing import Literal

import numpy as np

from learning.decorrelation.reference import F64, Reference


class PCA(Reference):
    """``R = L**(-1/2) U^T`` with S = U L U^T, strongest component first, signs such that every row's largest entry is positive."""

    kind: Literal["pca"] = "pca"

    def whitening(self, s: F64) -> F64:
        """L**(-1/2) U^T."""
        values, vectors = np.linalg.eigh(s)
        values, vectors = values[::-1], vectors[:, ::-1]
        # An eigenvector's sign is arbitrary; without a rule it may flip from one programming to the next.
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(s))])
        result: F64 = (vectors / np.sqrt(values)).T
        return result
