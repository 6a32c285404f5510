"""Calibration of a chip: measured through the protocol alone, fitted by `devices.measurements`, left as a card and a twin.

It never trains.
"""
