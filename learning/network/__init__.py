"""Networks: one feed-forward network whose weight matrices live on tiles, and its configuration.

It never learns and knows no loss. Others use `network.Network`, `network.build_network`, `spec.NetworkSpec` and the protocol
`tiles.WeightTile`.
"""
