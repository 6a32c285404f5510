"""The command `analog-hil fit` from a checkout; its code is learning/experiments/commands/fit.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("fit"))
