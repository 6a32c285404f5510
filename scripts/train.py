"""The command `analog-hil train` from a checkout; its code is learning/experiments/commands/train.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("train"))
