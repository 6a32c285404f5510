"""Train a network in place, on emulated chips or ideal digital tiles; print the comparison and write a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import chip_override, parser, require_schema
from learning.experiments.commands._terminal import say, show, wrapped

if TYPE_CHECKING:
    from learning.experiments.configs.train import TrainExperiment

ALL_DIVERGED = 1
"""Exit status when no arm came to its end; one that did is a result, and the table says which did not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training that the command line asks for."""
    made = parser(
        "Train a network in place: every arm of the file on every seed, beside its ideal digital twin.",
        "analog-hil train mnist_node_perturbation --set epochs=1 --seed 3",
    )
    options = made.parse_args(arguments)
    experiment = load(options)
    from learning.experiments.training.run import describe, train

    if options.dry_run:
        print(wrapped(describe(experiment)))
        return 0
    outcome = train(experiment, out=options.out, resume=options.resume, say=say)
    show(outcome.table)
    print(f"report: {outcome.report}")
    return ALL_DIVERGED if outcome.all_diverged else 0


def load(options: argparse.Namespace) -> TrainExperiment:
    """The configuration with the options put on top; a `sweep` multiplies the arms. Raises ConfigError."""
    from learning.experiments.training.load import load_training

    require_schema(options.config, "train/1", options.overrides)
    overrides = [*chip_override(options.chip), *options.overrides]  # so that --set refines what --chip names
    if options.jobs is not None:
        overrides.append(f"parallel.jobs={options.jobs}")
    if options.seed is not None:
        overrides.append(f"seeds=[{options.seed}]")
    return load_training(options.config, overrides)[0]
