"""Write the report of a run again from the files in its folder. Never runs a chip."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText
from learning.experiments.commands._terminal import show


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild report.html, the figures and the tables of the folders on the command line."""
    made = argparse.ArgumentParser(
        description="Write report.html, figures and tables of a run again, from its results.",
        epilog="example:\n  analog-hil report runs/digits_pcm-20250101-120000",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    made.add_argument("run", metavar="RUN_DIR", type=Path, nargs="+", help="folder of a run")
    options = made.parse_args(arguments)

    from learning.experiments.report.rebuild import rebuild

    for folder in options.run:
        table, path = rebuild(folder)
        show(table)
        print(f"report: {path}")
    return 0
