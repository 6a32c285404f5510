"""What an estimate decides for what its configuration leaves open, and the sentences that say so. It never runs a chip."""

from __future__ import annotations

from analog_sim.tiles.nonidealities import Hardware
from learning.experiments.configs.estimate import Experiment
from learning.experiments.defaults.statements import (
    about_card,
    about_chip,
    about_circuit,
    about_drift,
    about_energy,
    about_wires,
)

STANDS_STILL = "chip time stands still while images are classified: drift and read disturb during a workload are not in the figures."


def with_compensation(experiment: Experiment, hardware: Hardware) -> Experiment:
    """The estimate with what its tiles leave to the card written out, the same for every study.

    `tile.compensation: auto` as the card asks for it; `tile.mapping.sides: auto` is one: weights that are programmed once and not updated
    need no room for depression, and one-sided pairs use the whole window.
    """
    tile = experiment.tile
    mapping = tile.mapping
    if mapping.sides == "auto" and tile.writing is None:
        mapping = mapping.model_copy(update={"sides": "one"})
    tile = tile.model_copy(update={"compensation": tile.settled(hardware.cell).compensation, "mapping": mapping})
    return experiment.model_copy(update={"tile": tile})


def with_epochs(experiment: Experiment, images: int) -> Experiment:
    """The estimate with the epochs of its digital network written out; unchanged where weights are given."""
    given = experiment.weights is not None or experiment.module is not None
    if given or (experiment.model is not None and experiment.model.checkpoint is not None):
        return experiment
    training = experiment.training.model_copy(update={"epochs": experiment.training.epochs_for(images)})
    return experiment.model_copy(update={"training": training})


def estimate_notes(experiment: Experiment, hardware: Hardware) -> tuple[str, ...]:
    """What a reader of the result must know of the defaults in force."""
    card, tile = experiment.device, experiment.tile
    kept = f"layers kept digital and exact (digital): {', '.join(experiment.digital)}."
    return (
        *([kept] if experiment.digital else []),
        *about_drift(hardware.cell, tile),
        *about_card(card, believed=experiment.chip.shared),
        about_circuit(tile, bias=experiment.bias_place, own_wires=experiment.chip.shared),
        *about_wires(tile, hardware.cell),
        *about_chip(experiment.chip),
        *([STANDS_STILL, about_energy(card, tile)] if experiment.chip.snapshots else []),
    )
