"""The command `analog-hil report` from a checkout; its code is learning/experiments/commands/report.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("report"))
