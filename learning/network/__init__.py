"""Networks: one feed-forward network whose weight matrices live on tiles, and its configuration.

It never learns and knows no loss. Others use `network.Network`, `network.build_network` and `spec.NetworkSpec`. The matrices
are typed against `learning.common.weight_tile.WeightTile`.
"""
