"""Losses, per sample and with their gradient with respect to the network's output. They never see a weight."""
