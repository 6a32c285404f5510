"""What the scripts begin with: a missing installation is one line, everything else is `analog_hil._start`."""

import sys


def run(command: str) -> int:
    """Run a command of `analog-hil`; return the exit status."""
    try:
        from analog_hil._start import run as start
    except ModuleNotFoundError:
        print(
            "analog-hil is not installed; in its folder: python -m pip install -c constraints.txt -e .", file=sys.stderr
        )
        return 2
    return start(command)
