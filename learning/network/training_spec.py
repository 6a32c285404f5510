"""How a network is trained digitally, as configuration. No torch here: `learning.torch_bridge.digital.digital_training` does it."""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.config import Q, StrictModel
from learning.losses.cross_entropy import CrossEntropy
from learning.losses.losses import AnyLoss
from learning.network.spec import Size

LEAST_EPOCHS, LEAST_STEPS = 20, 6000
"""How long a network is trained digitally when nothing is said: on small data sets steps are what counts, not epochs."""


class DigitalTraining(StrictModel):
    """How the digital network is trained: rate falling to zero along half a cosine.

    Attributes:
        loss: what is minimised: cross_entropy of classes, mse of numbers to be predicted (or against the one-hot targets of classes).
        epochs: passes over the training samples; None for as many as make LEAST_STEPS steps, at least LEAST_EPOCHS (`epochs_for`).
        batch: samples per step.
        optimizer: adam or sgd (momentum 0.9). rate: learning rate at the start. weight_decay: L2 penalty.
        weight_noise: standard deviation of Gaussian noise on every weight matrix during training, relative to its largest
            weight, drawn anew for each batch (Joshi et al. 2020, doi:10.1038/s41467-020-16108-9): makes the network
            tolerant of programming error and drift. 0 for plain training.
        seed: of weights and order of the data. threads: torch threads; bits depend on their number.
    """

    loss: AnyLoss = CrossEntropy()
    epochs: Annotated[int, Field(ge=0, le=10**6)] | None = None
    batch: Size = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: Annotated[float, Field(gt=0.0, le=100)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=100)] = 0.0
    weight_noise: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    threads: Size = 1

    def epochs_for(self, images: int) -> int:
        """Epochs on so many training samples."""
        if self.epochs is not None:
            return self.epochs
        steps = max(1, -(-images // self.batch))
        return max(LEAST_EPOCHS, -(-LEAST_STEPS // steps))
