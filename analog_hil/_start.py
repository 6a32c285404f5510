"""Where `analog-hil` and the callers in scripts/ begin: packages of ours first, before one that shadows them breaks. It does no work."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command line of `analog-hil`; return the exit status."""
    return run(None)


def run(command: str | None) -> int:
    """Run one command on sys.argv, or with None the one that sys.argv names; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a job in the background
            signal.signal(number, _end_at_once)
    try:
        check()
    except ModuleNotFoundError:
        message = "analog-hil is not installed; in its folder: python -m pip install -c constraints.txt -e ."
    except ImportError as error:  # ShadowedPackageError
        message = str(error)
    else:
        from learning.experiments.commands.dispatch import dispatch, run_command

        return dispatch(sys.argv[1:]) if command is None else run_command(command)
    print(message, file=sys.stderr)
    return 2


def _end_at_once(number: int, frame: object) -> None:
    """End on Ctrl-C or SIGTERM while modules are imported: nothing has begun that would have to be put right."""
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


def check() -> None:
    """Check that all packages are ours, before one that shadows them breaks. Raises ImportError naming the folder that shadows."""
    try:
        from analog_sim import check_shadowing
    except ModuleNotFoundError:
        raise
    except ImportError as error:  # a package analog_sim that is not ours has no guard
        raise ImportError(
            f"package 'analog_sim' of analog-hil is shadowed by {error.path}; rename that folder or file, or run from another folder"
        ) from error
    check_shadowing()
