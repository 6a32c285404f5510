"""Scikit-learn's handwritten digits: embedded, so that every machine has them."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from learning.data.published import TEN_DIGITS, Published, Raw


class Digits(Published):
    """1,797 digits of 8x8 pixels, grey levels 0 to 16; each third image of a class is a test image."""

    kind: Literal["digits"] = "digits"
    name: Literal["digits"] = "digits"
    image: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[tuple[str, ...]] = TEN_DIGITS

    @classmethod
    def find(cls, root: Path | None) -> Raw:
        """From the library; never from a folder."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
        test = np.zeros(y.size, bool)
        for label in range(10):
            test[np.flatnonzero(y == label)[2::3]] = True
        return Raw(x[~test], y[~test], x[test], y[test], full_scale=16)
