"""The part of the pipeline that handles pulses: fits of folds and of all, and proof on emulated cells. It never writes the user's card."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.split import Split
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.families import families
from devices.measurements.fit.pulse.fit import PulseFit, fit_pulses
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.pipeline.composition import compose
from devices.measurements.proof.cell_assignment import KnownDevices
from devices.measurements.proof.distribution import distribution_proof
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.pulses import Candidate, Say, prove
from devices.measurements.table.sink import Measurements
from devices.window import Window


def fit_traces(
    config: MeasurementConfig,
    parts: Split,
    given: Window | None,
    *,
    intervals: bool = True,
    say: Say = lambda text: None,
) -> PulseFit:
    """Fit laws and tables to the fitted part, as the configuration asks; `given`: the window, or None; `intervals`: too."""
    settings = config.pulse
    return fit_pulses(
        parts,
        window=given,
        laws={kind: families(given is None)[kind] for kind in settings.laws},
        read_noise="correlated" if settings.read_noise == "separate" else "none",
        tables_per_device={"auto": None, "per_device": True, "one": False}[settings.tables],
        intervals=intervals,
        say=say,
    )


def fit_again(
    config: MeasurementConfig, pulse: PulseFit, traces: Traces, given: Window | None, *, intervals: bool = False
) -> PulseFit:
    """Fit the laws that the card needs and the tables to other traces; the comparison of laws stays that of `pulse`.

    Args:
        config: what the card holds. pulse: the first fit. traces: of another fold, or all. given: window, or None.
        intervals: of the laws' parameters, too.
    """
    kinds = {pulse.laws[0].kind, config.pulse.use} & {law.kind for law in pulse.laws}
    again = fit_pulses(
        Split(traces, None, "none", ""),
        window=given,
        laws={law.kind: (law.family,) for law in pulse.laws if law.kind in kinds},
        read_noise=pulse.evidence.model,
        tables_per_device=pulse.tables.up.shape[0] > 1,
        intervals=intervals,
    )
    own = {law.kind: law for law in again.laws}
    laws = tuple(_compared_as(own[law.kind], law) if law.kind in own else law for law in pulse.laws)
    return replace(again, laws=laws, evidence=replace(pulse.evidence, model=again.evidence.model))


def _compared_as(again: LawFit, first: LawFit) -> LawFit:
    """A law fitted to other traces, with the scores by which it was compared with the other laws on the first ones."""
    return replace(
        again,
        loglik=first.loglik,
        reads=first.reads,
        parameters=first.parameters,
        held_out=first.held_out,
        misfit=first.misfit,
        worst_state=first.worst_state,
        bias=first.bias,
    )


def fit_folds(
    config: MeasurementConfig, first: PulseFit, parts: Sequence[Split], given: Window | None, say: Say
) -> list[PulseFit]:
    """Fit every fold; the first one is fitted already, and chose the law and the noise for all."""
    found = [first]
    for number, part in enumerate(parts[1:], start=2):
        say(f"fold {number} of {len(parts)}: fitting to {part.fit.steps} steps")
        found.append(fit_again(config, first, part.fit, given))
    return found


def prove_pulses(
    config: MeasurementConfig,
    folds: Sequence[Split],
    fits: Sequence[PulseFit],
    everything: Traces,
    trial: Path,
    window: Window,
    say: Say,
) -> Proof:
    """Prove the cards of the folds, written into `trial`, on what each of them has not seen."""
    if folds[0].held_out is None:
        return Proof("the pulse response", folds[0].text, ())
    by_device = folds[0].by == "device"
    candidates = []
    for number, pulse in enumerate(fits):
        card = CardParts(f"pulses{number}", "", window)
        compose(card, config, pulse, None, (), None)
        cell = load_card(write_card(trial, card, {})).compile()
        stuck = () if pulse.stuck is None else tuple(int(c) for c in pulse.stuck.cells)
        candidates.append(Candidate(cell, pulse.noise, None if by_device else partial(known_devices, pulse), stuck))
    how = folds[0].text
    if not by_device and any(known_devices(pulse, everything) is not None for pulse in fits):
        how += "; each device replayed as its other part was fitted: the claim is about these devices, not about others like them"
    return prove(folds, candidates, everything, how=how, seed=config.held_out.seed, several=by_device, say=say)


def known_devices(pulse: PulseFit, traces: Traces) -> KnownDevices | None:
    """Gains, or numbers of the tables, of traces of devices that were fitted; None where the fit tells no devices apart."""
    cells = pulse.tables.cells
    if cells is not None and np.isin(traces.cell, cells).all():
        return KnownDevices(None, np.searchsorted(cells, traces.cell))
    if pulse.gains is not None and np.isin(traces.cell, pulse.gains.cells).all():
        return KnownDevices(pulse.gains.of_traces(traces), None)
    return None


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
