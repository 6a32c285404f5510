"""Batch normalisation, in digital training alone. On a chip it is folded into the layer before, or computed digitally."""

from typing import ClassVar, Literal

from learning.network.layers.base import Shape, TrainingLayer


class BatchNorm(TrainingLayer):
    """``y = gamma (x - mean) / sqrt(var + eps) + beta`` per feature or channel (Ioffe & Szegedy, arXiv:1502.03167).

    The weighted layer directly before it has no bias, which would be subtracted again.
    """

    kind: Literal["batch_norm"] = "batch_norm"
    reason: ClassVar[str] = (
        "has statistics of whole batches, which a network that learns on a chip does not keep; leave it out (network.kind conv: "
        "batch_norm: false), and use decorrelation to centre and scale inputs"
    )

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape, (n,) or (C, H, W)."""
        if len(shape) not in (1, 3):
            raise ValueError(f"batch_norm: needs samples (n,) or (channels, height, width), got {shape}")
        return shape
