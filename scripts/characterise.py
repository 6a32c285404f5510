"""The command `analog-hil characterise` from a checkout; its code is learning/experiments/commands/characterise.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("characterise"))
