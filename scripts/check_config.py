"""The command `analog-hil check` from a checkout; its code is learning/experiments/commands/check.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("check"))
