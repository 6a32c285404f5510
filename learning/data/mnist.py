"""MNIST: handwritten digits of 28x28 pixels."""

from typing import ClassVar, Literal

from learning.data.download import Original
from learning.data.published import TEN_DIGITS, Published, idx_files


class Mnist(Published):
    """60,000 training and 10,000 test images (LeCun et al., 1998, doi:10.1109/5.726791)."""

    kind: Literal["mnist"] = "mnist"
    name: Literal["mnist"] = "mnist"
    image: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    classes: ClassVar[tuple[str, ...]] = TEN_DIGITS
    files: ClassVar[tuple[Original, ...]] = idx_files(
        ("https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"),
        (
            (
                "train-images-idx3-ubyte",
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9_912_422,
            ),
            ("train-labels-idx1-ubyte", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
            (
                "t10k-images-idx3-ubyte",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1_648_877,
            ),
            ("t10k-labels-idx1-ubyte", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
        ),
    )
