"""The digital network of `configs/digits_pcm.yaml` as a user's model: 64 - 128 - 10. Its weights are in digits_mlp.npz, frozen."""

from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
