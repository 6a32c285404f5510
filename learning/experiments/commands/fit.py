"""Make a device card of lab files: read, fit, prove on the emulator, write card, tables and report. It never changes a lab file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText, add_set, require_schema
from learning.experiments.commands._terminal import say, show, wrapped
from learning.experiments.runs.examples import config_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit a card to the measurement on the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Fit a device card to measurements and validate it on held-out data; card (YAML and tables), figures, one HTML page.",
        epilog="example:\n  analog-hil init fit\n  analog-hil fit my_fit.yaml --out runs/my_cell",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument(
        "config",
        metavar="CONFIG",
        type=config_file,
        help="YAML file of the measurement (schema: measurements/1), or an example",
    )
    add_set(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, default=None, help="folder (default: under runs/)")
    parser.add_argument("--dry-run", action="store_true", help="read the files, say what they hold, and stop")
    options = parser.parse_args(arguments)

    from analog_sim.config import load_config
    from devices.measurements.configuration.measurement_config import MeasurementConfig

    require_schema(options.config, "measurements/1", options.overrides)
    config = load_config(options.config, MeasurementConfig, overrides=options.overrides)
    if options.dry_run:
        from devices.measurements.pipeline.reading import describe
        from learning.experiments.report.wording import readable

        print(wrapped(readable(describe(config, lambda text: print(f"  {text}", file=sys.stderr)))))
        return 0

    from learning.experiments.fitting.run import fit_card
    from learning.experiments.monte_carlo.life import TerminalLife
    from learning.experiments.report.measurement.page import about_fitted, law_table, verdict_text
    from learning.experiments.report.wording import readable

    with TerminalLife() as life:
        result, page = fit_card(config, options.out, life)
    say(readable(verdict_text(result)))
    if result.pulse is not None and result.pulse.fit.laws:
        show(law_table(result.pulse.fit.laws))
    for line in (*result.notes, *about_fitted(result), *result.counted):
        say(f"- {readable(line)}")
    print(f"\ncard: {result.card}")
    if result.files.law_card is not None:
        print(f"card of the best law: {result.files.law_card}")
    print(f"report: {page}")
    return 0
