"""The part of the pipeline that handles pulses: fit, refit, and proof on emulated cells. It never writes the user's card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.split import Split
from devices.measurements.data.start_states import start_states
from devices.measurements.data.stop_rule import stop_rule
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.families import families
from devices.measurements.fit.pulse.fit import PulseFit, fit_pulses
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.pipeline.composition import compose
from devices.measurements.proof.cell_assignment import KnownDevices
from devices.measurements.proof.distribution import distribution_proof
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.replay import replay
from devices.measurements.proof.steps import steps_proof
from devices.measurements.proof.variogram import with_lags
from devices.measurements.table.sink import Measurements
from devices.window import Window

REPLICAS = 10
"""Emulated repetitions of the held-out traces."""


def fit_traces(config: MeasurementConfig, parts: Split, given: Window | None) -> PulseFit:
    """Fit laws and tables to the fitted part, as the configuration asks; `given`: the window, or None."""
    settings = config.pulse
    return fit_pulses(
        parts,
        window=given,
        laws={kind: families(given is None)[kind] for kind in settings.laws},
        read_noise="correlated" if settings.read_noise == "separate" else "none",
        tables_per_device={"auto": None, "per_device": True, "one": False}[settings.tables],
    )


def refitted(config: MeasurementConfig, pulse: PulseFit, everything: Traces, given: Window | None) -> PulseFit:
    """Fit the best law and the tables again to all traces; the comparison of laws stays that of the split."""
    again = fit_pulses(
        Split(everything, None, "none", ""),
        window=given,
        laws={pulse.laws[0].kind: (pulse.laws[0].family,)},
        read_noise=pulse.evidence.model,
        tables_per_device=pulse.tables.up.shape[0] > 1,
    )
    return replace(again, laws=pulse.laws, evidence=replace(pulse.evidence, model=again.evidence.model))


def prove_pulses(
    config: MeasurementConfig, pulse: PulseFit, parts: Split, everything: Traces, trial: Path, window: Window
) -> Proof:
    """Replay the held-out traces on emulated cells of the fitted part's card, written into `trial`, and compare.

    Held-out stretches are too short for long lags: these are then looked at in the whole traces, `everything`, a part of which
    was fitted.
    """
    if parts.held_out is None:
        return Proof("the pulse response", parts.text, ())
    card = CardParts("pulses", "", window)
    compose(card, config, pulse, None, (), None)
    cell = load_card(write_card(trial, card, {})).compile()
    held = parts.held_out
    if pulse.stuck is not None and pulse.stuck.cells:
        held = held.take(np.flatnonzero(~np.isin(held.cell, pulse.stuck.cells)))
    known = None if parts.by == "device" else known_devices(pulse, held)
    copy = replayed_by(cell, held, pulse, config.held_out.seed, replicas=REPLICAS, known=known)
    states = (smoothed(held), smoothed(copy), smoothed(parts.fit))
    seed = config.held_out.seed
    how = parts.text if known is None else f"{parts.text}; each device replayed as its other part was fitted"
    proof = steps_proof(parts.fit, held, copy, states, how=how, seed=seed)
    if parts.by != "stretch":
        return with_lags(proof, parts.fit, held, copy, seed=seed)
    whole = replayed_by(cell, everything, pulse, seed + 1, replicas=REPLICAS, known=known_devices(pulse, everything))
    proof = replace(
        proof, how=f"{proof.how}; scatter over several reads: whole traces with the card of the fitted stretches"
    )
    return with_lags(proof, everything, everything, whole, seed=seed)


def known_devices(pulse: PulseFit, traces: Traces) -> KnownDevices | None:
    """Gains, or numbers of the tables, of traces of devices that were fitted; None where the fit tells no devices apart."""
    cells = pulse.tables.cells
    if cells is not None and np.isin(traces.cell, cells).all():
        return KnownDevices(None, np.searchsorted(cells, traces.cell))
    if pulse.gains is not None and np.isin(traces.cell, pulse.gains.cells).all():
        return KnownDevices(pulse.gains.of_traces(traces), None)
    return None


def replayed_by(
    cell: CellModel, traces: Traces, pulse: PulseFit, seed: int, *, replicas: int, known: KnownDevices | None = None
) -> Traces:
    """Replay traces on emulated cells, from the states that their first reads suggest; `known`: what the fit knows of their devices."""
    begin = start_states(traces, pulse.noise, pulse.laws[0].step_std)
    return replay(
        cell, traces, begin, replicas=replicas, seed=seed, stop=stop_rule(traces), noise=pulse.noise, known=known
    )


def prove_distributions(
    config: MeasurementConfig, measured: Measurements, pulse: PulseFit, trial: Path, window: Window
) -> Proof:
    """Compare step distributions with the steps of emulated cells: of held-out devices when there are enough."""
    card = CardParts("pulses", "", window)
    compose(card, config, pulse, None, (), None)
    held = config.held_out

    def card_of(chosen: npt.NDArray[np.int64]) -> CellModel:
        tables = pulse.tables
        some = replace(
            tables,
            up=tables.up[chosen],
            down=tables.down[chosen],
            windows=None if tables.windows is None else tables.windows[chosen],
        )
        part = CardParts(f"devices{len(chosen)}", "", window)
        compose(part, config, replace(pulse, tables=some), None, (), None)
        return load_card(write_card(trial, part, {})).compile()

    return distribution_proof(
        measured.distributions, card_of, fraction=held.fraction, seed=held.seed, enabled=held.by != "none"
    )
