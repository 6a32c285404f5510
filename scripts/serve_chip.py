"""The command `analog-hil serve` from a checkout; its code is learning/experiments/commands/serve.py."""

import sys

from _start import run

if __name__ == "__main__":
    sys.exit(run("serve"))
