"""Instruments of a lab with commands of their own, driven by a map of commands. It never interprets a command."""
