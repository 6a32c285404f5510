"""Torch networks that users write, for the tests of the bridge."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch normalisation statistics as after training, and set evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                if layer.running_mean is not None:
                    layer.running_mean.normal_(generator=generator)
                    layer.running_var.uniform_(0.5, 2.0, generator=generator)
                if layer.affine:
                    layer.weight.normal_(generator=generator)
                    layer.bias.normal_(generator=generator)
    return module.eval()


class Residual(nn.Module):
    """Functional code, residual, a normalisation that can be folded and one that cannot, a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding="same", dilation=2)
        self.bn2 = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 1)
        self.fc1 = nn.Linear(4 * 16, 12)
        self.bn3 = nn.BatchNorm1d(12)
        self.fc2 = nn.Linear(12, 10)
        self.only_in_training = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        h = self.conv2(x)
        x = F.relu(self.bn2(h) + x) + h  # h is used twice: its normalisation must stay
        x = self.shared(self.shared(x))
        x = F.dropout(F.avg_pool2d(x, 2).flatten(1), 0.5, training=self.training)
        return self.fc2(F.relu(self.bn3(self.fc1(x))))


class TokenNorm(nn.Module):
    """Batch normalisation over dimension 1, which is not the output of the linear layer before it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bn(self.fc(x[:, 0])).flatten(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x[:, 0])[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0]
        return self.fc(self.attention(x, x, x)[0][:, -1])


class RawParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1)) * self.gain


class PlainList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.layers = [self.fc]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[0](x.flatten(1))


class WeightByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.out = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.linear(x.flatten(1), self.fc.weight))


class RandomInEvaluation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(x.flatten(1)))


class OwnLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.fc(x.flatten(1))
        return y, y
