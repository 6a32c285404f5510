"""The command `analog-hil sweep` from a checkout; its code is learning/experiments/commands/sweep.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("sweep"))
