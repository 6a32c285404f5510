"""Measurements in the form that fits take: traces, histories, directions, splits. It never fits."""
