"""Draw what a device physicist checks first of a device card: pulses, steps, programming error, drift, read noise. Never fits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import HelpText, add_set, require_schema
from learning.experiments.commands._terminal import say, show

if TYPE_CHECKING:
    from devices.card import DeviceCard


def main(arguments: Sequence[str] | None = None) -> int:
    """Characterise the card on the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Characterise emulated cells of a device card; figures (PNG, SVG) and one HTML page.",
        epilog="example:\n  analog-hil characterise pcm --out runs/pcm --against generic_pcm",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("card", metavar="CARD", help="name of a packaged card, or a card's YAML file")
    add_set(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, default=None, help="folder (default: under runs/)")
    parser.add_argument(
        "--against",
        metavar="FILE",
        default=None,
        help="card to draw beside it: a name or a file; or a measurement (YAML) to compare it with",
    )
    parser.add_argument("--cells", metavar="N", type=_cells, default=2000, help="cells per point (default: 2000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the emulated cells (default: 0)")
    options = parser.parse_args(arguments)

    from devices.card import load_card

    if Path(options.card).is_file():
        require_schema(options.card, "card/1", options.overrides)
    card = load_card(options.card, overrides=options.overrides)
    if options.against is not None and _is_measurement(options.against):
        return _against_measurement(options, card)
    if options.against is not None and Path(options.against).is_file():
        require_schema(options.against, "card/1")
    against = None if options.against is None else load_card(options.against)

    from learning.experiments.defaults.statements import about_card
    from learning.experiments.monte_carlo.life import TerminalLife
    from learning.experiments.report.device.page import numbers_table, write_device_report
    from learning.experiments.report.device.results import device_claims, measure
    from learning.experiments.report.wording import readable
    from learning.experiments.runs.compiling import compiling
    from learning.experiments.runs.run_folder import RunDirectory

    run = RunDirectory.create(options.out, card, name=f"characterise-{card.name}", seed=options.seed, resumable=False)
    with TerminalLife() as life, compiling("characterise", life):
        life(f"run folder: {run.path}")
        life(f"measuring {options.cells} emulated cells")
        results = measure(card, cells=options.cells, seed=options.seed)
        life("writing the report")
        page = write_device_report(run, card, results, against)
    shown = [card] if against is None else [card, against]
    show(numbers_table([(each, device_claims(each, results)) for each in shown]))
    for each in shown:
        for sentence in about_card(each, pulses=each.pulse is not None):
            say(f"note: {readable(sentence)}")
    print(f"\nfigures in {run.figures}\nreport: {page}")
    return 0


def _is_measurement(file: str) -> bool:
    """Whether a file describes a measurement and not a card."""
    from analog_sim.config import find_key

    return Path(file).is_file() and find_key(file, "schema")[0] == "measurements/1"


def _against_measurement(options: argparse.Namespace, card: DeviceCard) -> int:
    """Let the card's cells do what the measured ones did, and compare."""
    from analog_sim.config import load_config
    from devices.measurements.configuration.measurement_config import MeasurementConfig
    from devices.measurements.pipeline.comparison import compare_card
    from learning.experiments.monte_carlo.life import TerminalLife
    from learning.experiments.report.measurement.page import write_comparison_report
    from learning.experiments.runs.run_folder import RunDirectory

    config = load_config(options.against, MeasurementConfig)
    with TerminalLife() as life:
        comparison = compare_card(card, config, seed=options.seed, say=life)
        life("writing the report")
        name = f"characterise-{card.name}"
        run = RunDirectory.create(options.out, card, name=name, seed=options.seed, resumable=False)
        page = write_comparison_report(run, card.name, comparison)
    for proof in comparison.proofs:
        say(proof.sentence())
    print(f"\nfigures in {run.figures}\nreport: {page}")
    return 0


def _cells(text: str) -> int:
    if not text.isdecimal() or not 10 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"must be a whole number from 10 to 100000 (got {text!r})")
    return int(text)
