"""Calibrate a chip for an experiment: card, fault map and twin, within a budget that is planned and printed first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText, add_set, chip_override, require_schema
from learning.experiments.commands._terminal import show
from learning.experiments.runs.examples import config_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Measure a chip through the protocol alone and leave a device card, a fault map and a twin (docs/calibrate.md).",
        epilog="example:\n  analog-hil calibrate calibrate_mnist --chip scpi://127.0.0.1:5025 --out runs/chip7",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument(
        "config", metavar="CONFIG", type=config_file, help="YAML file (schema: calibrate/1), or the name of an example"
    )
    add_set(parser)
    parser.add_argument(
        "--chip", metavar="CHIP", default=None, help="what is measured, instead of the experiment's chip"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=None, help="run directory (default: under runs/)")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted calibration in --out")
    parser.add_argument("--dry-run", action="store_true", help="open the chip, print the plan, and stop")
    options = parser.parse_args(arguments)

    from analog_sim.config import load_config
    from learning.experiments.calibration.page import summary, write_calibration_report
    from learning.experiments.calibration.run import calibrate, open_chip
    from learning.experiments.configs.calibrate import CalibrateConfig
    from learning.experiments.monte_carlo.life import TerminalLife
    from learning.experiments.runs.compiling import compiling
    from learning.experiments.runs.run_folder import RunDirectory

    overrides = [*chip_override(options.chip), *options.overrides]  # so that --set refines what --chip names
    require_schema(options.config, "calibrate/1", overrides)
    config = load_config(options.config, CalibrateConfig, overrides=overrides)
    opened = open_chip(config)
    print(opened.plan.text(opened.wanted), flush=True)
    if options.dry_run:
        return 0
    run = RunDirectory.create(
        options.out, config, name=config.name, seed=config.seed, resume=options.resume, own=[f"{config.name}.yaml"]
    )
    with run.locked(), TerminalLife() as say, compiling("calibrate", say):
        found = calibrate(config, opened, run, say)
        say("writing the report")
        page = write_calibration_report(run, found)
    show(summary(found))
    print(f"card: {found.card}\ntwin: {found.twin} (--chip twin:{run.path})\nreport: {page}")
    return 0
