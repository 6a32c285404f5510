"""Run a configuration at every point of its `sweep:` and compare: estimates here, training as the arms of `analog-hil train`."""

from __future__ import annotations

from collections.abc import Sequence

from learning.experiments.commands._cli import chip_override, parser, require_schema
from learning.experiments.commands._terminal import say, show, wrapped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep that the command line asks for."""
    options = parser(
        "Run an estimate or a training at every point of the file's `sweep` (dotted key -> list of values) and compare.",
        "analog-hil sweep sweep_cards --jobs 2 --out runs/cards",
    ).parse_args(arguments)

    from analog_sim.config import find_key

    schema, _ = find_key(options.config, "schema", overrides=options.overrides)
    if isinstance(schema, str) and schema.startswith("train/"):
        from learning.experiments.commands import train

        return train.main(arguments)
    require_schema(options.config, "estimate/1", options.overrides)
    overrides = [*chip_override(options.chip), *options.overrides]  # so that --set refines what --chip names
    if options.jobs is not None:
        overrides.append(f"parallel.jobs={options.jobs}")
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")

    from learning.experiments.estimation.sweep import load_points, sweep

    if options.dry_run:
        from learning.experiments.estimation.run import describe

        for point in load_points(options.config, overrides):
            print(wrapped(f"{point.folder}: {point.name}\n{describe(point.experiment)}") + "\n")
        return 0
    table, path = sweep(options.config, overrides=overrides, out=options.out, resume=options.resume, say=say)
    show(table)
    print(f"report: {path}")
    return 0
