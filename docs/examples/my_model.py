"""A torch network of one's own, to estimate unchanged:

analog-hil estimate digits_pcm --model my_model.py:build --checkpoint w.pt

Nothing here knows of analogue hardware. Without --checkpoint the network is trained on the data set first. To make one:

    model = build(); ...train...; torch.save(model.state_dict(), "w.pt")
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions with batch normalisation and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(h)))


class MyNet(nn.Module):
    """Small residual network for grey images of any size."""

    def __init__(self, channels: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding="same")
        self.block = Block(channels)
        self.mix = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, groups=2)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, classes)."""
        x = self.block(F.relu(self.stem(x)))
        x = F.adaptive_avg_pool2d(F.relu(self.mix(x)), 1).flatten(1)
        return self.head(self.dropout(x))


def build() -> nn.Module:
    """What --model names: a function without arguments that returns the network."""
    return MyNet()
