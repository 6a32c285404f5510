"""The YAML of a measurement: files, formats, how they are fitted. It never reads a measurement file."""
