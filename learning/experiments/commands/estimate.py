"""Estimate how accurate a trained network is on emulated chips over time; print a table and write a report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import chip_override, parser, require_schema
from learning.experiments.commands._terminal import say, show, wrapped

if TYPE_CHECKING:
    from learning.experiments.configs.estimate import Experiment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the estimate that the command line asks for."""
    options = _parser().parse_args(arguments)
    from analog_sim.config import UserError, find_key

    if options.only_chip is not None and options.only_chip < 0:
        raise UserError(f"--only-chip: chips are counted from 0 (got {options.only_chip})")
    require_schema(options.config, "estimate/1", options.overrides)
    experiment = load(options)
    if find_key(options.config, "sweep", overrides=options.overrides)[0] is not None:
        print("note: the file's `sweep` is left out; analog-hil sweep runs it", file=sys.stderr)
    from learning.experiments.estimation.run import describe, estimate
    from learning.experiments.report.estimate.page import estimate_table

    if options.dry_run:
        print(wrapped(describe(experiment)))
        return 0
    outcome = estimate(experiment, out=options.out, resume=options.resume, chip=options.only_chip, say=say)
    show(estimate_table(outcome.results))
    print(f"report: {outcome.report}")
    return 0


def load(options: argparse.Namespace) -> Experiment:
    """The configuration with the options put on top. Raises ConfigError."""
    from analog_sim.config import UserError, find_key
    from learning.experiments.estimation.load import load_estimate

    overrides = [*chip_override(options.chip), *options.overrides]  # so that --set refines what --chip names
    if options.jobs is not None:
        overrides.append(f"parallel.jobs={options.jobs}")
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    if options.checkpoint and not options.model and find_key(options.config, "model", overrides=overrides)[0] is None:
        raise UserError("--checkpoint: holds the weights of your own network; name that by --model FILE.py:NAME")
    overrides += model_overrides(options.model, options.checkpoint)
    return load_estimate(options.config, overrides)[0]


def model_overrides(model: str | None, checkpoint: Path | None) -> list[str]:
    """What --model FILE.py:NAME and --checkpoint FILE change in the configuration. Raises UserError."""
    import json

    from analog_sim.config import UserError

    found = []
    if model is not None:
        file, colon, factory = model.rpartition(":")
        if not colon:
            raise UserError(f"--model: must be FILE.py:NAME, for example my_model.py:build (got '{model}')")
        found += ["network=null", f"model.file={json.dumps(file)}", f"model.factory={json.dumps(factory)}"]
    if checkpoint is not None:
        found.append(f"model.checkpoint={json.dumps(str(checkpoint))}")
    return found


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "Estimate how accurate a trained network is on emulated chips, over time after programming.",
        "analog-hil estimate digits_pcm --set chips=10 --jobs 2\n"
        "  analog-hil estimate mnist --set device=pcm --model my_model.py:build"
        " --checkpoint w.pt",
    )
    made.add_argument("--model", metavar="FILE.py:NAME", help="your own torch module; the file is executed")
    made.add_argument("--checkpoint", metavar="FILE", type=Path, help="its weights; without them it is trained here")
    made.add_argument(
        "--only-chip", metavar="N", type=int, default=None, help="run only chip N, as it is among all others"
    )
    return made
