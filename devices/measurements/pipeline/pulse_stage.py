"""The pulse response: fits of folds and of all, and proof on emulated cells. It never writes a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from analog_sim.cells.cell_model import CellModel
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.other_pulses import OtherPulses, other_pulses
from devices.measurements.data.pulse_kinds import ConditionRow, check_devices, chosen_pulses
from devices.measurements.data.split import Split, folds
from devices.measurements.data.traces import Traces, traces_of
from devices.measurements.fit.drive.fit import DriveFit, fit_drive
from devices.measurements.fit.pulse.families import families
from devices.measurements.fit.pulse.fit import PulseFit, adequacy_notes, fit_pulses
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.pipeline.composition import add_pulse, law_of
from devices.measurements.pipeline.stage import F64, FittedStage, Say
from devices.measurements.proof.cell_assignment import KnownDevices
from devices.measurements.proof.delivered import pulse_differences
from devices.measurements.proof.proof import Proof, ReportKey
from devices.measurements.proof.pulses import Candidate, prove, replicas_for
from devices.measurements.proof.steps import steps_proof
from devices.measurements.proof.variogram import with_lags
from devices.measurements.table.sink import Measurements
from devices.window import Window


@dataclass(frozen=True)
class WholeReplay:
    """The whole experiment, and the same on emulated cells of the final card.

    Attributes:
        traces, replayed: measured and emulated. proof: their comparison, which proves nothing: the card was fitted to them.
    """

    traces: Traces
    replayed: Traces
    proof: Proof


@dataclass(frozen=True)
class FittedPulse:
    """A fitted pulse response.

    Attributes:
        config: what was asked. traces: all of them. parts: the folds. kinds: kinds of pulses in the data.
        folds: a fit for every fold, the first of which chose the law and the noise. fit: what the card holds.
        drives: what other amplitudes and widths do to a step, where the data hold such pulses and held-out changes ask for it.
    """

    report_key: ClassVar[ReportKey] = "pulse"
    config: MeasurementConfig
    traces: Traces
    parts: tuple[Split, ...]
    kinds: tuple[ConditionRow, ...]
    folds: tuple[PulseFit, ...]
    fit: PulseFit
    drives: tuple[DriveFit, ...] = ()

    @property
    def window(self) -> Window:
        """Given, or that of the law or the tables that the card holds."""
        law = law_of(self.fit, self.config.pulse.use)
        return self.config.given_window or (self.fit.window if law is None else law.window)

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the fit."""
        return (*self.fit.notes, *adequacy_notes(self.fit.laws), *(note for one in self.drives for note in one.notes))

    def compile(self, parts: CardParts) -> None:
        """Add tables or a law, what other pulses do, read noise, spread and stuck cells."""
        add_pulse(parts, self.config, self.fit)
        parts.parts["pulse"] |= {one.what: one.part() for one in self.drives}

    def prove(self, say: Say) -> Proof:
        """Prove the cards of the folds on what each of them has not seen."""
        if self.parts[0].held_out is None:
            return Proof("pulse", self.parts[0].text, ())
        by_device = self.parts[0].by == "device"
        window = self.config.given_window or self.folds[0].window
        candidates = []
        for number, pulse in enumerate(self.folds):
            card = CardParts(f"pulses{number}", "", window)
            add_pulse(card, self.config, pulse)
            stuck = () if pulse.stuck is None else tuple(int(c) for c in pulse.stuck.cells)
            known = None if by_device else partial(known_devices, pulse)
            candidates.append(Candidate(card.compile(), pulse.noise, known, stuck))
        how = self.parts[0].text
        if not by_device and any(known_devices(pulse, self.traces) is not None for pulse in self.folds):
            how += "; each device replayed as its other part was fitted: the claim is about these devices, not about others like them"
        seed = self.config.held_out.seed
        proof = prove(self.parts, candidates, self.traces, how=how, seed=seed, several=by_device, say=say)
        return replace(proof, differs=pulse_differences(self.fit, self.folds)) if self.config.held_out.refit else proof

    def replay(self, cell: CellModel) -> WholeReplay:
        """Give the pulses of the whole experiment to emulated cells of the final card."""
        seed = self.config.held_out.seed
        replayed = Candidate(cell, self.fit.noise).replayed(self.traces, seed, replicas_for(self.traces))
        whole = steps_proof(
            self.traces,
            self.traces,
            replayed,
            (smoothed(self.traces), smoothed(replayed), smoothed(self.traces)),
            how="all data, which the card was fitted to",
            seed=seed,
            resamples=20,  # the fitted data prove nothing: only the numbers and curves are shown
        )
        return WholeReplay(self.traces, replayed, with_lags(whole, self.traces, self.traces, replayed, seed=seed))


@dataclass(frozen=True)
class PulseStage:
    """Pulse traces, cut into folds.

    Attributes:
        config: what is asked. traces: all of them. parts: the folds. kinds: kinds of pulses in the data.
        others: changes by all kinds of pulses; None where the data hold one kind.
    """

    config: MeasurementConfig
    traces: Traces
    parts: tuple[Split, ...]
    kinds: tuple[ConditionRow, ...]
    others: OtherPulses | None

    @classmethod
    def of(cls, measured: Measurements, config: MeasurementConfig) -> "PulseStage | None":
        """The pulses of a measurement; None without any. Raises MeasurementError."""
        rows = measured.tables.get("pulses")
        if rows is None:
            return None
        chosen, kinds = chosen_pulses(rows, config, measured.log)
        traces = traces_of(rows, measured.log, chosen)
        check_devices(traces, measured.log)
        held = config.held_out
        parts = folds(traces, by=held.by, fraction=held.fraction, seed=held.seed)
        return cls(config, traces, parts, tuple(kinds), other_pulses(rows, kinds))

    @property
    def reads(self) -> F64 | None:
        """None: the fit tells states from noise, and so finds the window."""
        return None

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedPulse:
        """Fit every fold, and then all traces, unless the configuration wants the first fold's fit on the card."""
        config, held = self.config, self.config.held_out
        say(f"fitting {len(config.pulse.laws)} pulse laws to {self.parts[0].fit.steps} steps")
        first = fit_traces(config, self.parts[0], window, say=say)
        # Without a fit to all data the first fold's card is the card, and its held-out part alone proves it.
        parts = self.parts if held.refit else self.parts[:1]
        of_folds = [first]
        for number, part in enumerate(parts[1:], start=2):
            say(f"fold {number} of {len(parts)}: fitting to {part.fit.steps} steps")
            of_folds.append(fit_again(config, first, part.fit, window))
        whole = first
        if held.refit and parts[0].held_out is not None:
            say("fitting the card's tables to all data")
            whole = fit_again(config, first, self.traces, window, intervals=True)
        others = self.others
        found = [] if others is None else [fit_drive(others, whole.tables, what) for what in ("amplitude", "width")]
        drives = tuple(one for one in found if one is not None)
        return FittedPulse(config, self.traces, parts, self.kinds, tuple(of_folds), whole, drives)


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
        history=settings.history == "auto",
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
        history=config.pulse.history == "auto",
        intervals=intervals,
    )
    own = {law.kind: law for law in again.laws}
    laws = tuple(_compared_as(own[law.kind], law) if law.kind in own else law for law in pulse.laws)
    return replace(again, laws=laws, evidence=replace(pulse.evidence, model=again.evidence.model))


def _compared_as(again: LawFit, first: LawFit) -> LawFit:
    """A law fitted to other traces, with the scores by which it was compared with the other laws on the first ones."""
    return replace(again, score=first.score)


def known_devices(pulse: PulseFit, traces: Traces) -> KnownDevices | None:
    """Gains, or numbers of the tables, of traces of devices that were fitted; None where the fit tells no devices apart."""
    cells = pulse.tables.cells
    if cells is not None and np.isin(traces.cell, cells).all():
        return KnownDevices(None, np.searchsorted(cells, traces.cell))
    if pulse.gains is not None and np.isin(traces.cell, pulse.gains.cells).all():
        return KnownDevices(pulse.gains.of_traces(traces), None)
    return None
