"""Find learning rates with the same budget for every arm of a training file, on held-out training images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from learning.experiments.commands._cli import parser
from learning.experiments.commands._terminal import say, show
from learning.experiments.commands.train import load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search that the command line asks for."""
    made = parser(
        "Try the same grid of settings on every arm of a training file; the best by held-out training images wins.",
        "analog-hil search paper/mnist_np --try learning_rate=0.01,0.03,0.1 --set epochs=1",
    )
    made.add_argument(
        "--try",
        dest="grid",
        metavar="PATH=V1,V2,...",
        action="append",
        required=True,
        help="key and its values; repeat for a product",
    )
    made.add_argument(
        "--arm", metavar="NAME", action="append", default=[], help="search for this arm only; repeat for several"
    )
    made.add_argument("--hold-out", metavar="N", type=int, default=5000, help="training images to judge by (5000)")
    options = made.parse_args(arguments)
    grid = _grid(options.grid)
    options.overrides = [*options.overrides, f"validation={options.hold_out}", "twin=null"]
    experiment = load(options)
    from learning.experiments.training.search import search

    command = "analog-hil search " + shlex.join(arguments if arguments is not None else sys.argv[1:])
    found = search(experiment, grid, only=options.arm, out=options.out, resume=options.resume, command=command, say=say)
    show(found.table)
    print(f"best settings: {found.file}")
    return 0


def _grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Key -> values of all --try. Raises UserError."""
    from analog_sim.config import UserError

    grid: dict[str, list[Any]] = {}
    for key, values in map(_axis, texts):
        if key in grid:
            raise UserError(f"--try {key}: is given twice; give all its values at once, separated by commas")
        grid[key] = values
    return grid


def _axis(text: str) -> tuple[str, list[Any]]:
    """`a.b=1,2` -> ("a.b", [1, 2]). Raises UserError."""
    from analog_sim.config import UserError

    name, equals, values = text.partition("=")
    if not equals or not name or not values:
        raise UserError(f"--try {text}: must be PATH=V1,V2,..., for example learning_rate=0.01,0.03,0.1")
    return name.strip(), [_value(part.strip()) for part in values.split(",")]


def _value(text: str) -> Any:
    """A number when it is one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
