"""The command `analog-hil estimate` from a checkout; its code is learning/experiments/commands/estimate.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("estimate"))
