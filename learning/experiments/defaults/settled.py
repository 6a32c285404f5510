"""What a training run decides for what its configuration leaves to the cells: write schemes, compensation. It never trains.

A decision is a dotted key and its value. A run keeps its decisions in its folder, so that a resumed one goes on with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import ConfigError, UserError, override, validate
from analog_sim.tiles.tile import TileSpec
from analog_sim.writing.choice import scheme_for
from analog_sim.writing.scheme import WriteScheme
from learning.experiments.configs.train import TrainExperiment, TwinSpec
from learning.experiments.defaults.statements import about_card, about_chip, about_circuit, about_energy, about_wires

Decisions = Mapping[str, Any]
DECIDED = tuple(f"{tile}.{key}" for tile in ("tile", "matrix_tile") for key in ("writing", "compensation"))
"""Keys that are decided when they are left out."""


def decide(setup: TrainExperiment) -> dict[str, Any]:
    """Decisions for one arm: dotted key -> value as in YAML; none for exact digital tiles.

    Weights and decorrelating matrices that are on the chip are written by `analog_sim.writing.choice.scheme_for` their cells. Drift is
    not compensated while a chip learns unless `compensate_every` asks for it, because the gain is measured against the outputs right
    after programming and would take what was learned for drift.
    """
    if setup.device is None:
        return {}
    cell = setup.device.compile()
    found: dict[str, Any] = {}
    specs = {"tile": setup.tile} | ({} if setup.matrix_tile is None else {"matrix_tile": setup.matrix_tile})
    for key, spec in specs.items():
        if spec.writing is None:
            found[f"{key}.writing"] = scheme_for(cell).model_dump(mode="json")
        if spec.compensation == "auto":
            found[f"{key}.compensation"] = "none" if setup.compensate_every is None else "global"
    return found


def checked_decisions(found: Mapping[str, Any], path: Path) -> Mapping[str, Decisions]:
    """Arm -> its decisions, as `decide` makes them, from the content of a file that a user may have edited. Raises UserError."""
    for arm, decisions in found.items():
        if not isinstance(decisions, dict):
            raise UserError(f"{path}: {arm}: must be decisions (got {decisions!r}); choose another --out")
        for key, value in decisions.items():
            if key not in DECIDED:
                raise UserError(
                    f"{path}: {arm}: '{key}' is not decided (allowed: {', '.join(DECIDED)}); choose another --out"
                )
            name = key.partition(".")[2]
            try:
                whole = value is not None and validate({name: value}, TileSpec).model_dump(mode="json")[name] == value
            except ConfigError:
                whole = False
            if not whole:
                raise UserError(f"{path}: {arm}: {key}: no such decision (got {value!r}); choose another --out")
    return found


def settled(setup: TrainExperiment, decisions: Decisions | None = None) -> TrainExperiment:
    """An arm with everything written out that was left to its cells, as decided now or before."""
    chosen = decide(setup) if decisions is None else decisions
    return override(setup, [f"{key}={json.dumps(value)}" for key, value in chosen.items()]) if chosen else setup


def training_notes(asked: TrainExperiment, setup: TrainExperiment) -> tuple[str, ...]:
    """What a reader of one arm's result must know of its defaults.

    Args:
        asked: the arm as configured. setup: the same, settled.
    """
    found = [*_about_twin(setup), *_about_periphery(setup)]
    if len(setup.seeds) == 1:
        found.append(
            f"one seed (seeds: [{setup.seeds[0]}]): an interval is of the test samples alone and says nothing of other chips."
        )
    if setup.device is None:
        return (*found, "digital arms (device: null) are exact: no cell, no converter, no noise.")
    card, cell = setup.device, setup.device.compile()
    written = setup.tile.writing
    assert written is not None, "notes are made of a settled arm"
    found += [
        _about_writing(cell, written, "weights", "tile.writing", asked.tile.writing is None),
        *_about_matrices(asked, setup, cell),
        *_about_time(cell, setup),
        *about_card(
            card,
            pulses="pulsed" in written.needs,
            selected=setup.tile.wires is not None and not setup.tile.wires.ideal,
            believed=setup.chip.shared,
        ),
        about_circuit(
            setup.tile,
            bias="digital" if setup.network is None else setup.network.bias,
            own_wires=setup.chip.shared,
        ),
        *about_wires(setup.tile, cell, pulses="pulsed" in written.needs),
        *about_chip(setup.chip, training=True),
        *([about_energy(card, setup.tile, training=True)] if setup.chip.snapshots else []),
    ]
    return tuple(found)


def _about_writing(cell: CellModel, scheme: WriteScheme, what: str, key: str, left_out: bool) -> str:
    """How cells are written, and what that leaves unused."""
    if scheme.kind == "ideal":
        unused = (
            "the card's pulse response was not used"
            if cell.pulse is not None
            else "the card has no pulse response, and its programming error was not used"
        )
        return f"card {cell.name}: {what} are written exactly and at no cost ({key}: ideal): {unused}."
    if not left_out:
        return f"card {cell.name}: {what} are written by {scheme.kind} ({key})."
    if cell.pulse is None:
        how = "the card has no pulse response: cells that deviate from a digital copy are programmed, with the card's error"
    else:
        how = "the card's pulse response; dense changes are sent as stochastically rounded counts of pulses"
        if getattr(scheme, "pair", "both") == "one_sided":
            how += "; depression is abrupt, so pulses only potentiate and pairs are refreshed"
    return f"card {cell.name}: {what} are written by {scheme.kind}, the default for it ({key}): {how}."


def _about_matrices(asked: TrainExperiment, setup: TrainExperiment, cell: CellModel) -> tuple[str, ...]:
    """How decorrelating matrices are held and written."""
    spec = setup.decorrelation
    if spec is None or spec.method.kind == "centre":
        return ()
    if spec.where == "digital":
        return ("decorrelating matrices are digital and exact (decorrelation.where: digital).",)
    if spec.method.stands_still:
        return ()
    own, key = (setup.tile, "tile.writing") if setup.matrix_tile is None else (setup.matrix_tile, "matrix_tile.writing")
    before = asked.tile if asked.matrix_tile is None else asked.matrix_tile
    assert own.writing is not None
    return (_about_writing(cell, own.writing, "decorrelating matrices", key, before.writing is None),)


def _about_time(cell: CellModel, setup: TrainExperiment) -> tuple[str, ...]:
    """What time does to the cells while they learn, and what it would do afterwards."""
    found = []
    schemes = (setup.tile.writing, None if setup.matrix_tile is None else setup.matrix_tile.writing)
    if any(scheme is not None and scheme.counts_cells for scheme in schemes):
        found.append(
            "chip time: pulses that are counted for each cell are sent one row of an array after the other, each for as long as its "
            "largest count takes; potentiation and depression share a slot (cost.t_pulse)."
        )
    if not cell.ages:
        return tuple(found)
    if not (setup.idle_at_end and setup.idle_per_batch):
        found.append(
            f"card {cell.name} changes with time: accuracy is that right after the last batch, not of a chip left alone "
            "(idle_per_batch with idle_at_end)."
        )
    if not cell.drifts:
        return tuple(found)
    if setup.tile.compensation == "none" and setup.compensate_every is not None:
        found.append(
            f"card {cell.name} drifts and is not compensated: compensate_every does nothing with tile.compensation: none."
        )
    elif setup.tile.compensation == "none":
        found.append(
            f"card {cell.name} drifts and is not compensated while it learns (tile.compensation: none): the gain is measured against "
            "the outputs after programming and would take what was learned for drift; compensate_every asks for it."
        )
    elif setup.compensate_every is None:
        found.append(
            f"card {cell.name} drifts; tile.compensation: {setup.tile.compensation} is never measured (compensate_every: null)."
        )
    else:
        found.append(
            f"card {cell.name}: drift is compensated every {setup.compensate_every} batches, tile.compensation: {setup.tile.compensation}."
        )
    return tuple(found)


def _about_twin(setup: TrainExperiment) -> tuple[str, ...]:
    if setup.twin is None or setup.twin != TwinSpec():
        return ()
    rate = f"{setup.twin.learning_rate:g}"
    return (
        f"ideal digital twin: its learning rate is the default {rate}, not tuned for this network, so that 'vs twin' may flatter the "
        "chip (twin.learning_rate).",
    )


def _about_periphery(setup: TrainExperiment) -> tuple[str, ...]:
    """What of the electronics a rule on a chip assumes."""
    if setup.device is None:
        return ()
    needs, given = setup.rule.needs, setup.periphery
    taken = [name for name in type(given).model_fields if getattr(needs, name) and getattr(given, name)]
    if not taken:
        return ()
    return (
        f"rule {setup.rule.kind} assumes of the electronics, exact and at no cost (periphery): {', '.join(taken)}.",
    )
