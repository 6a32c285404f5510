"""Chips that are not ours: instruments with commands of their own, driven by a map of commands, and a user's own code, whose answers are
checked. It never interprets a command.
"""
