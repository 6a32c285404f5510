"""From a measurement configuration to a card with its proof: read, split, fit, emulate, compare. It never draws or prints."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cell import CellModel
from devices.card import load_card
from devices.measurements.ageing_proof import ageing_proof
from devices.measurements.card_file import CardParts, part_of_law, siemens, write_card
from devices.measurements.config import MeasurementConfig, PulseKind
from devices.measurements.distribution_proof import distribution_proof
from devices.measurements.fit.ageing import AgeingFit, fit_ageing, path_memory
from devices.measurements.fit.laws import LawFit, families
from devices.measurements.fit.moments import smoothed
from devices.measurements.fit.noise import NoiseFit, fit_noise, series_of
from devices.measurements.fit.programming import ProgrammingFit, fit_programming
from devices.measurements.fit.pulse import PulseFit, fit_distributions, fit_pulses
from devices.measurements.histories import Histories, histories_of
from devices.measurements.noise_proof import halves, noise_proof
from devices.measurements.problems import MeasurementError, ReadLog
from devices.measurements.proof import Proof, steps_proof
from devices.measurements.replay import initial_states, replay, stop_rule
from devices.measurements.sink import UNFIT, Measurements, Sink
from devices.measurements.split import Split, split
from devices.measurements.table import Table
from devices.measurements.traces import Condition, Traces, conditions, has_condition, traces_of
from devices.measurements.write_by_pulses import PulseWriting, write_by_pulses
from devices.window import Window

F64 = npt.NDArray[np.float64]
Say = Callable[[str], None]

REPLICAS = 10
"""Emulated repetitions of the held-out traces."""


@dataclass(frozen=True)
class ConditionRow:
    """Steps of one kind of pulse: direction, condition, pulses, mean and standard deviation of the change per pulse in siemens."""

    direction: int
    condition: Condition
    pulses: int
    mean: float
    std: float
    fitted: bool


@dataclass(frozen=True)
class FitResult:
    """Everything that was found.

    Attributes:
        config: what was asked. card: path of the card. law_card: path of a second card with the best pulse law, None without pulses.
        window: of the card.
        proofs: one per kind of measurement. whole: proof of the whole experiment replayed with the final card, None without pulses.
        notes: sentences for the report. counted: irregularities that the readers handled.
        pulse, ageing, programming, noise: fits, None without such data. traces, replayed: all pulse traces and their emulated
            replay by the final card. histories: retention data. kinds: kinds of pulses.
        rows: rows read by file.
    """

    config: MeasurementConfig
    card: Path
    law_card: Path | None
    window: Window
    proofs: tuple[Proof, ...]
    notes: tuple[str, ...]
    counted: tuple[str, ...]
    pulse: PulseFit | None = None
    ageing: tuple[AgeingFit, ...] = ()
    programming: ProgrammingFit | None = None
    noise: NoiseFit | None = None
    traces: Traces | None = None
    replayed: Traces | None = None
    whole: Proof | None = None
    histories: Histories | None = None
    kinds: tuple[ConditionRow, ...] = ()
    rows: tuple[tuple[str, int], ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """First lines of the report: a bad fit first."""
        order = {"bad": 0, "unproven": 1, "fair": 2, "good": 3}
        return tuple(proof.sentence() for proof in sorted(self.proofs, key=lambda proof: order[proof.verdict]))


def read_measurements(config: MeasurementConfig, say: Say) -> Measurements:
    """Read all files of a configuration. Raises MeasurementError."""
    sink = Sink()
    for reader in config.measurements:
        say(f"reading {reader.kind}: {', '.join(path.name for path in reader.path)}")
        reader.read(sink)
    return sink.measurements()


def fit_measurements(config: MeasurementConfig, folder: Path, say: Say = lambda text: None) -> FitResult:
    """Read, fit, prove and write the card with its tables into a folder.

    Args:
        config: what and how. folder: for the card; made when missing. say: told what is going on.

    Raises MeasurementError (files), ConfigError (keys for the card).
    """
    measured = read_measurements(config, say)
    log = measured.log
    tables = measured.tables
    if "pulses" in tables and measured.distributions:
        raise MeasurementError("pulse rows and step distributions in one configuration: fit them as two cards")
    given = config.window.window if config.window is not None else None
    notes: list[str] = []
    pulse: PulseFit | None = None
    pulse_parts: Split | None = None
    kinds: tuple[ConditionRow, ...] = ()
    if "pulses" in tables:
        table, kinds = chosen_pulses(tables["pulses"], config, log)
        everything = traces_of(tables["pulses"], log, table)
        held = config.held_out
        pulse_parts = split(everything, by=held.by, fraction=held.fraction, seed=held.seed)
        say(f"fitting {len(config.pulse.laws)} pulse laws to {pulse_parts.fit.steps} steps")
        pulse = _fit_pulses(config, pulse_parts, given)
    elif measured.distributions:
        say(f"making tables of {len(measured.distributions)} step distributions")
        pulse = fit_distributions(measured.distributions, window=given)
    histories = histories_of(tables["retention"], log) if "retention" in tables else None
    series = series_of(tables["noise"]) if "noise" in tables else []
    window = _window(given, pulse, histories, series, tables)
    programming, stuck_text, histories = _programming(tables, histories, window)
    notes += stuck_text
    proofs: list[Proof] = []
    parts = CardParts(config.name, config.reference, window)
    ageing: tuple[AgeingFit, ...] = ()
    noise: NoiseFit | None = None
    with tempfile.TemporaryDirectory() as scratch:  # cards of the fitted part only, to be proven
        trial = Path(scratch)
        if pulse is not None and pulse_parts is not None:
            say("replaying the held-out pulses on the emulator")
            proofs.append(_prove_pulses(config, pulse, pulse_parts, trial, window))
        elif pulse is not None:
            say("replaying the step distributions on the emulator")
            proofs.append(_prove_distributions(config, measured, pulse, trial, window))
        if histories is not None:
            say(f"fitting ageing laws to {len(histories)} cells")
            ageing, proof = _ageing(config, histories, window, trial, say)
            proofs.append(proof)
            memory = path_memory(histories)
            if memory is not None and memory < -0.1:
                notes.append(
                    f"ageing: the last change of a cell correlates with the one before by {memory:.2f} (rank): cells partly return."
                    " The emulator's path has independent increments: single times are as measured, differences between two late"
                    " times of one cell are too large"
                )
        if series:
            say(f"fitting the spectra of {len(series)} noise series")
            noise, proof = _noise(config, series, window, trial)
            proofs.append(proof)
    if pulse is not None and pulse_parts is not None and config.held_out.refit and pulse_parts.held_out is not None:
        say("fitting the card's tables to all data")
        pulse = _refitted(config, pulse, everything, given)
        window = given or pulse.window
        parts.window = window
    _compose(parts, config, pulse, programming, ageing, noise)
    notes += pulse.notes if pulse is not None else ()
    writing = _write_by_pulses(config, parts, pulse, programming)
    if writing is not None:
        notes.append(
            f"programming was not measured: its error is that of write-verify by single pulses on emulated cells, at most"
            f" {writing.max_pulses} of them to within {1e6 * writing.tolerance:.3g} uS; it leaves"
            f" {1e6 * float(writing.std.min()):.3g} to {1e6 * float(writing.std.max()):.3g} uS"
            f" ({np.mean(writing.reached):.0%} of the cells within tolerance, {np.mean(writing.pulses):.1f} pulses a cell)"
        )
    comments = (
        f"Fitted by scripts/fit_device.py from {len(measured.sources) or 'step distribution'} file(s); tables beside it.",
    )
    card = write_card(folder, parts, config.card, comments)
    law_card = _law_card(folder, config, pulse, noise, parts)
    replayed, whole = None, None
    if pulse is not None and pulse_parts is not None:
        say("replaying the whole experiment with the final card")
        cell = load_card(card).compile()
        replayed = _replay(
            cell, everything, pulse, config.held_out.seed, replicas=max(1, min(REPLICAS, 200_000 // len(everything.g)))
        )
        whole = steps_proof(
            everything,
            everything,
            replayed,
            (smoothed(everything), smoothed(replayed), smoothed(everything)),
            how="all data, which the card was fitted to",
            seed=config.held_out.seed,
            resamples=20,  # the fitted data prove nothing: only the numbers and curves are shown
        )
    return FitResult(
        config,
        card,
        law_card,
        window,
        tuple(proofs),
        tuple(dict.fromkeys(notes)),
        tuple(log.lines()),
        pulse,
        ageing,
        programming,
        noise,
        everything if pulse_parts is not None else None,
        replayed,
        whole,
        histories,
        tuple(kinds),
        tuple((str(path), count) for path, count in log.rows.items()),
    )


def chosen_pulses(
    table: Table, config: MeasurementConfig, log: ReadLog
) -> tuple[npt.NDArray[np.bool_] | None, tuple[ConditionRow, ...]]:
    """Rows that are fitted (None: all) and what every kind of pulse does."""
    counts = conditions(table)
    if not counts:
        raise MeasurementError(
            "the pulse measurement holds no pulse: check the columns v, n_pulses, op, or give a direction"
        )
    wanted = {1: config.pulse.up, -1: config.pulse.down}
    selected: dict[int, Condition] = {}
    for (direction, condition), _ in counts.items():  # most frequent first
        asked = wanted.get(direction, PulseKind())
        if direction not in selected and _matches(condition, asked):
            selected[direction] = condition
    for direction, asked in wanted.items():
        if (asked.amplitude is not None or asked.width is not None) and direction not in selected:
            there = "; ".join(str(condition) for side, condition in counts if side == direction) or "none"
            word = "up" if direction > 0 else "down"
            raise MeasurementError(
                f"pulse.{word}: no pulse of {Condition(asked.amplitude, asked.width)}; the data hold: {there}"
            )
    if len(counts) == len(selected):
        return None, ()
    g = table.conductance()
    usable = (table.flag & UNFIT) == 0
    same = (
        np.concatenate(([False], table.sequence[1:] == table.sequence[:-1]))
        & usable
        & np.concatenate(([False], usable[:-1]))
    )
    change = np.concatenate(([np.nan], np.diff(g))) / np.maximum(table.n_pulses, 1)
    rows = []
    keep = table.op == 1
    for (direction, condition), count in counts.items():
        own = has_condition(table, direction, condition)
        steps = change[own & same]
        steps = steps[np.isfinite(steps)]
        fitted = selected.get(direction) == condition
        if fitted:
            keep = keep | own
        rows.append(
            ConditionRow(
                direction,
                condition,
                count,
                float(steps.mean()) if len(steps) else np.nan,
                float(steps.std()) if len(steps) else np.nan,
                fitted,
            )
        )
    chosen = ", ".join(
        f"{'up' if d > 0 else 'down' if d < 0 else 'unknown direction'}: {c}" for d, c in selected.items()
    )
    log.note(f"{len(counts)} kinds of pulses; fitted are {chosen}; choose others with pulse.up and pulse.down")
    return keep, tuple(rows)


def _matches(condition: Condition, asked: PulseKind) -> bool:
    for value, wanted in ((condition.amplitude, asked.amplitude), (condition.width, asked.width)):
        if wanted is not None and (value is None or abs(value - wanted) > 2e-3 * wanted):
            return False
    return True


def _fit_pulses(config: MeasurementConfig, parts: Split, given: Window | None) -> PulseFit:
    settings = config.pulse
    return fit_pulses(
        parts,
        window=given,
        laws={kind: families(given is None)[kind] for kind in settings.laws},
        separate_read_noise=settings.read_noise == "separate",
        tables_per_device={"auto": None, "per_device": True, "one": False}[settings.tables],
    )


def _refitted(config: MeasurementConfig, pulse: PulseFit, everything: Traces, given: Window | None) -> PulseFit:
    """Fit the best law and the tables again to all traces; the comparison of laws stays that of the split."""
    again = fit_pulses(
        Split(everything, None, "none", ""),
        window=given,
        laws={pulse.laws[0].kind: (pulse.laws[0].family,)},
        separate_read_noise=pulse.read_std > 0,
        tables_per_device=pulse.tables.up.shape[0] > 1,
    )
    return replace(again, laws=pulse.laws, noise_gain=pulse.noise_gain)


def _window(
    given: Window | None,
    pulse: PulseFit | None,
    histories: Histories | None,
    series: list,
    tables: dict[str, Table] | object,
) -> Window:
    if given is not None:
        return given
    if pulse is not None:
        return pulse.window
    values = []
    if histories is not None:
        values.append(np.concatenate((histories.initial, histories.target[np.isfinite(histories.target)])))
    values += [one.g for one in series]
    if isinstance(tables, dict) and "programming" in tables:
        table = tables["programming"]
        values.append(table.conductance()[(table.flag & UNFIT) == 0])
    pooled = np.concatenate(values)
    pooled = pooled[np.isfinite(pooled)]
    low, high = max(0.0, float(pooled.min())), float(pooled.max())
    if high <= low:
        raise MeasurementError(f"all reads are {low:g} S: no window can be found; give one")
    return Window(low, high)


def _programming(
    tables: object, histories: Histories | None, window: Window
) -> tuple[ProgrammingFit | None, list[str], Histories | None]:
    """Programming error from programming rows or from the first reads of retention; cells that missed by far leave the histories."""
    fit, notes = None, []
    if isinstance(tables, dict) and "programming" in tables:
        table: Table = tables["programming"]
        good = (table.flag & UNFIT) == 0
        fit = fit_programming(table.target_S[good], table.conductance()[good], window)
        if fit is None:
            raise MeasurementError(
                "the programming measurement has fewer than three pairs of target and result: name the column target"
            )
    elif histories is not None and np.isfinite(histories.target).any():
        fit = fit_programming(histories.target, histories.initial, window)
        if fit is not None and len(fit.stuck):
            histories = histories.take(np.setdiff1d(np.arange(len(histories)), fit.stuck))
    if fit is not None and len(fit.stuck):
        notes.append(
            f"{len(fit.stuck)} of {len(fit.stuck) + fit.cells} cells missed their target by far: taken as stuck, not fitted"
        )
    return fit, notes, histories


def _prove_pulses(config: MeasurementConfig, pulse: PulseFit, parts: Split, trial: Path, window: Window) -> Proof:
    if parts.held_out is None:
        return Proof("the pulse response", parts.text, ())
    card = CardParts("pulses", "", window)
    _compose(card, config, pulse, None, (), None)
    cell = load_card(write_card(trial, card, {})).compile()
    held = parts.held_out
    if pulse.stuck is not None and pulse.stuck.cells:
        held = held.take(np.flatnonzero(~np.isin(held.cell, pulse.stuck.cells)))
    copy = _replay(cell, held, pulse, config.held_out.seed, replicas=REPLICAS)
    states = (smoothed(held), smoothed(copy), smoothed(parts.fit))
    return steps_proof(parts.fit, held, copy, states, how=parts.text, seed=config.held_out.seed)


def _replay(cell: CellModel, traces: Traces, pulse: PulseFit, seed: int, *, replicas: int) -> Traces:
    spread = float(np.nanmedian(pulse.start.std)) if pulse.start is not None else 0.0
    initial = initial_states(traces, pulse.read_std, spread)
    return replay(cell, traces, initial, replicas=replicas, seed=seed, stop=stop_rule(traces))


def _prove_distributions(
    config: MeasurementConfig, measured: Measurements, pulse: PulseFit, trial: Path, window: Window
) -> Proof:
    card = CardParts("pulses", "", window)
    _compose(card, config, pulse, None, (), None)
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
        _compose(part, config, replace(pulse, tables=some), None, (), None)
        return load_card(write_card(trial, part, {})).compile()

    return distribution_proof(
        measured.distributions, card_of, fraction=held.fraction, seed=held.seed, enabled=held.by != "none"
    )


def _ageing(
    config: MeasurementConfig, histories: Histories, window: Window, trial: Path, say: Say
) -> tuple[tuple[AgeingFit, ...], Proof]:
    held = config.held_out
    rng = np.random.default_rng(held.seed)
    order = rng.permutation(len(histories))
    count = 0 if held.by == "none" or len(histories) < 10 else round(held.fraction * len(histories))
    part = histories.take(np.sort(order[count:]))
    rest = histories.take(np.sort(order[:count])) if count else None
    fits = _preferred(config, fit_ageing(part, rest, window, seed=held.seed))
    if rest is None:
        return fits, Proof("ageing", "nothing is held out: too few cells, so the fit is not proven", ())
    say("letting emulated cells age as the held-out cells did")
    card = CardParts("ageing", "", window)
    card.measured("drift", fits[0].tables)
    cell = load_card(write_card(trial, card, {})).compile()
    how = f"{count} of {len(histories)} cells held out, drawn at random"
    proof = ageing_proof(cell, part, rest, how=how, seed=held.seed)
    if held.refit:
        (again,) = fit_ageing(histories, None, window, kinds=(fits[0].kind,), seed=held.seed)
        fits = (replace(again, held_out=fits[0].held_out), *fits[1:])
    return fits, proof


def _preferred(config: MeasurementConfig, fits: tuple[AgeingFit, ...]) -> tuple[AgeingFit, ...]:
    return fits if config.ageing == "auto" else tuple(sorted(fits, key=lambda fit: fit.kind != config.ageing))


def _noise(config: MeasurementConfig, series: list, window: Window, trial: Path) -> tuple[NoiseFit, Proof]:
    held = config.held_out
    noise = fit_noise(series, window)
    if held.by == "none":
        return noise, Proof("read noise", "nothing is held out, so the fit is not proven", ())
    first, second = halves(series, held.fraction)
    if not first:
        return noise, Proof("read noise", "the series are too short to hold a part out, so the fit is not proven", ())
    part = fit_noise(first, window)
    card = CardParts("noise", "", window)
    card.measured("read_noise", {"white": part.white, "flicker": part.flicker, "t_read": part.t_read})
    cell = load_card(write_card(trial, card, {})).compile()
    proof = noise_proof(
        cell, first, second, how=f"the last {held.fraction:.0%} of every series held out", seed=held.seed
    )
    return (noise if held.refit else part), proof


def _compose(
    parts: CardParts,
    config: MeasurementConfig,
    pulse: PulseFit | None,
    programming: ProgrammingFit | None,
    ageing: tuple[AgeingFit, ...],
    noise: NoiseFit | None,
) -> None:
    """Add what was fitted to a card."""
    if pulse is not None:
        use = config.pulse.use
        law = _law(pulse, use)
        if law is None:
            arrays: dict[str, npt.ArrayLike] = {"up": pulse.tables.up, "down": pulse.tables.down}
            if pulse.tables.windows is not None:
                arrays["windows"] = pulse.tables.windows
            parts.measured("pulse", arrays)
        else:
            parts.parts["pulse"] = part_of_law(law.part)
            if config.window is None:
                parts.window = law.window
        if pulse.read_std > 0 and noise is None:
            parts.parts["read_noise"] = {"kind": "constant", "std": siemens(pulse.read_std)}
        _variation(parts, pulse)
    if programming is not None:
        parts.measured("programming", {"std": programming.table})
        if len(programming.stuck):
            parts.parts["faults"] = {
                "stuck_random": len(programming.stuck) / (len(programming.stuck) + programming.cells)
            }
    if ageing:
        parts.measured("drift", ageing[0].tables)
    if noise is not None:
        parts.measured("read_noise", {"white": noise.white, "flicker": noise.flicker, "t_read": noise.t_read})


def _write_by_pulses(
    config: MeasurementConfig, parts: CardParts, pulse: PulseFit | None, programming: ProgrammingFit | None
) -> PulseWriting | None:
    """Add the programming error that pulses leave, when it was not measured and not given."""
    if pulse is None or programming is not None or "programming" in config.card or not config.write_by_pulses.enabled:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        cell = load_card(write_card(Path(scratch), parts, config.card)).compile()
    writing = write_by_pulses(cell, max_pulses=config.write_by_pulses.max_pulses, seed=config.held_out.seed)
    parts.measured("programming", {"std": writing.std})
    return writing


def _law(pulse: PulseFit, use: str) -> LawFit | None:
    """The law that the card holds; None for the measured tables."""
    if use == "measured" or not pulse.laws:
        return None
    return pulse.laws[0] if use == "best_law" else next(fit for fit in pulse.laws if fit.kind == use)


def _variation(parts: CardParts, pulse: PulseFit) -> None:
    if pulse.gains is not None:
        spreads = {
            "step": pulse.gains.common.value,
            "step_up": pulse.gains.up.value,
            "step_down": pulse.gains.down.value,
        }
        known = {name: float(f"{value:.4g}") for name, value in spreads.items() if value > 0}
        if known:
            parts.parts["variation"] = known
    stuck = pulse.stuck
    if stuck is not None and stuck.cells:
        rates = {"stuck_low": stuck.low, "stuck_high": stuck.high, "stuck_random": stuck.elsewhere}
        parts.parts["faults"] = {name: count / stuck.tested for name, count in rates.items() if count}


def _law_card(
    folder: Path, config: MeasurementConfig, pulse: PulseFit | None, noise: NoiseFit | None, parts: CardParts
) -> Path | None:
    """A second card with the best parametric law in place of the tables."""
    if pulse is None or not pulse.laws or config.pulse.use != "measured":
        return None
    best = pulse.laws[0]
    law = CardParts(
        f"{config.name}_{best.kind}", config.reference, best.window if config.window is None else parts.window
    )
    law.parts = {**parts.parts, "pulse": part_of_law(best.part)}
    kept = {name: values for name, values in parts.arrays.items() if not name.startswith("pulse.")}
    if kept:
        law.arrays = kept
        for key in ("programming", "drift", "read_noise"):
            if isinstance(law.parts.get(key), dict) and law.parts[key].get("kind") == "measured":
                law.parts[key] = {"kind": "measured", "file": f"{law.name}.npz"}
    return write_card(folder, law, config.card, ("The best parametric law of the same measurement.",))


def describe(config: MeasurementConfig) -> str:
    """Read the files and say what they hold, without fitting. Raises MeasurementError."""
    measured = read_measurements(config, lambda text: None)
    lines = []
    for role, table in measured.tables.items():
        cells = len(np.unique(table.cell()))
        lines.append(f"{role}: {len(table)} rows of {cells} cell(s) in {len(np.unique(table.sequence))} sequence(s)")
        if role == "pulses":
            for (direction, condition), count in conditions(table).items():
                word = {1: "up", -1: "down"}.get(direction, "direction not stated")
                lines.append(f"  {word}, {condition}: {count} pulses")
    for distribution in measured.distributions:
        word = "up" if distribution.direction > 0 else "down"
        states, points = len(distribution.g), len(distribution.p)
        lines.append(
            f"step distribution, device {distribution.device}, {word}: {states} states, {points} probabilities"
        )
    return "\n".join([*lines, *(f"- {line}" for line in measured.log.lines())])
