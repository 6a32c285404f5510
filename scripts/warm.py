"""The command `analog-hil warm` from a checkout; its code is learning/experiments/commands/warm.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("warm"))
