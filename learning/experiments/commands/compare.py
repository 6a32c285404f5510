"""Compare two runs: which keys changed, and the paired difference with its interval. It never changes one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText
from learning.experiments.commands._terminal import say, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compare two finished estimates, or two finished trainings: changed keys, accuracies or R2, their paired difference.",
        epilog="example:\n  analog-hil compare runs/digits_pcm-20250101-120000 runs/digits_pcm-20250101-130000",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("first", metavar="A", type=Path, help="folder of a run")
    parser.add_argument("second", metavar="B", type=Path, help="folder of another run of the same kind")
    options = parser.parse_args(arguments)

    from learning.experiments.report.paired import compare_runs
    from learning.experiments.runs.run_folder import RunDirectory

    found = compare_runs(RunDirectory.open(options.first), RunDirectory.open(options.second))
    print(f"A: {options.first}\nB: {options.second}")
    if found.keys.rows:
        show(found.keys)
    else:
        say(found.keys.caption)
    show(found.scores)
    return 0
