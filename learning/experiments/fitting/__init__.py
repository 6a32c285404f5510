"""A fit of measurements as a run with a folder and a report. It never fits itself: that is devices.measurements."""
