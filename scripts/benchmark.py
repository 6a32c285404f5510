"""The command `analog-hil benchmark` from a checkout; its code is learning/experiments/commands/benchmark.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("benchmark"))
