"""The command `analog-hil search` from a checkout; its code is learning/experiments/commands/search.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("search"))
