"""What a network looks like and how it is trained, as configuration. No torch here: `learning.torch_bridge.digital_training` builds it."""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.config import Q, StrictModel

Size = Annotated[int, Field(ge=1, le=10**6)]
Activation = Literal["relu", "tanh", "sigmoid", "leaky_relu", "gelu"]


class MlpNetwork(StrictModel):
    """Dense layers on the flattened image.

    Attributes:
        hidden: units of the hidden layers; none for a linear classifier. activation: after each of them.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Size, ...] = (256,)
    activation: Activation = "relu"


class LenetNetwork(StrictModel):
    """LeNet-5 (LeCun et al., Proc. IEEE 86, 2278, 1998, doi:10.1109/5.726791) with ReLU and max pooling.

    Two 5 x 5 convolutions, each with 2 x 2 pooling, then dense layers; 28 x 28 images are padded to 32 x 32 as in the paper.

    Attributes:
        channels: of the two convolutions. hidden: units of the dense hidden layers.
    """

    kind: Literal["lenet"] = "lenet"
    channels: tuple[Size, Size] = (6, 16)
    hidden: tuple[Size, ...] = (120, 84)


class ConvNetwork(StrictModel):
    """Stages of 3 x 3 convolution, optional batch normalisation, ReLU and 2 x 2 max pooling, then dense layers.

    Attributes:
        channels: of the stages. hidden: units of the dense hidden layers. batch_norm: after each convolution.
        dropout: share of the dense hidden units dropped in training.
    """

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Size, ...], Field(min_length=1)] = (32, 64)
    hidden: tuple[Size, ...] = (128,)
    batch_norm: bool = True
    dropout: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.0


Network = Annotated[MlpNetwork | LenetNetwork | ConvNetwork, Field(discriminator="kind")]


LEAST_EPOCHS, LEAST_STEPS = 20, 6000
"""How long the digital twin is trained when nothing is said: on small data sets steps are what counts, not epochs."""


class DigitalTraining(StrictModel):
    """How the ideal digital twin is trained: cross-entropy, rate falling to zero along half a cosine.

    Attributes:
        epochs: passes over the training images; None for as many as make LEAST_STEPS steps, at least LEAST_EPOCHS (`epochs_for`).
        batch: images per step.
        optimizer: adam or sgd (momentum 0.9). rate: learning rate at the start. weight_decay: L2 penalty.
        weight_noise: standard deviation of Gaussian noise on every weight matrix during training, relative to its largest
            weight, drawn anew for each batch (Joshi et al. 2020, doi:10.1038/s41467-020-16108-9): makes the network
            tolerant of programming error and drift. 0 for plain training.
        seed: of weights and order of the data. threads: torch threads; bits depend on their number.
    """

    epochs: Annotated[int, Field(ge=0, le=10**6)] | None = None
    batch: Size = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: Annotated[float, Field(gt=0.0, le=100)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=100)] = 0.0
    weight_noise: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    threads: Size = 1

    def epochs_for(self, images: int) -> int:
        """Epochs on so many training images."""
        if self.epochs is not None:
            return self.epochs
        steps = max(1, -(-images // self.batch))
        return max(LEAST_EPOCHS, -(-LEAST_STEPS // steps))
