"""The command `analog-hil calibrate` from a checkout; its code is learning/experiments/commands/calibrate.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("calibrate"))
