"""What a device card compiles to: one frozen set of tables that every kernel of the emulator eats.

`CellModel` holds numbers only. It never knows a technology by name, never draws a random number and never touches a file;
`devices.card.DeviceCard.compile()` is the usual way to make one.

All tables are sampled on a uniform grid of the normalised state ``u = (g - g_min) / (g_max - g_min)`` in [0, 1] and read by
linear interpolation; a table of K nodes has K >= 2. Which state of a cell a table is read at is part of the model, because a source
states every coefficient against one of three: the *target* that was programmed, the state *as written* (with its programming error),
or the state *now* (drifted and relaxed). A cell that was never programmed, or was pulsed or written exactly since, has no target of
its own: the state that it was left in stands for it. Pulse tables are read at the state now, `CellModel.program_std` and
`VerifyModel.shot_std` at the target; the other parts say it in `state` or `flicker_state`.

The interpolation error of a law f with bounded curvature is at most ``max|f''| / (8 (K - 1)**2)``: 1e-6 of full scale for the quadratic
laws of the cards at K = 257, zero for linear laws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

QUANTILE_Z_MAX = 4.0
"""The quantile axis of a measured step table runs uniformly over the normal score z in [-QUANTILE_Z_MAX, QUANTILE_Z_MAX]."""


def constant_table(value: float, nodes: int = 2) -> F32:
    """Return a (1, nodes) table that is `value` at every state."""
    return np.full((1, nodes), value, np.float32)


@dataclass(frozen=True, eq=False)
class PulseFactor:
    """How a step depends on the amplitude of the pulse, or on its width: factors on the step, 1 at the nominal one.

    Linear between the nodes and, below the first, from there to 0 at 0 V (0 s); held above the last. So a node belongs where cells
    begin to move: half-selected ones see half the amplitude.

    Attributes:
        nominal: amplitude in volts (width in seconds) of the pulses that the tables of the steps are of; above 0.
        at: (N,) ascending, above 0, volts or seconds. up, down: (N,) factors, not negative.
    """

    nominal: float
    at: F32
    up: F32
    down: F32

    def __post_init__(self) -> None:
        at = np.asarray(self.at, np.float64)
        rising = at.ndim == 1 and len(at) > 0 and at[0] > 0.0 and bool((np.diff(at) > 0.0).all())
        if not (rising and np.isfinite(at).all() and np.shape(self.up) == np.shape(self.down) == at.shape):
            raise ValueError(f"PulseFactor: needs ascending nodes above 0 and as many factors up and down (got {at})")
        if not 0.0 < self.nominal < float("inf"):
            raise ValueError(f"PulseFactor: nominal must be above 0 and finite (got {self.nominal})")

    def factors(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Factors (2, ...), up and down, at amplitudes or widths x >= 0."""
        at = np.concatenate([[0.0], np.asarray(self.at, np.float64)])
        each = [np.concatenate([[0.0], np.asarray(side, np.float64)]) for side in (self.up, self.down)]
        return np.stack([np.interp(np.asarray(x, np.float64), at, side) for side in each])


@dataclass(frozen=True)
class HistoryModel:
    """What the last pulses of a cell do to the next: a reversal of the direction makes the first ones larger, or smaller.

    A cell's memory q is 1 after many pulses up, 0 after many down, 1/2 after it was programmed or written exactly. With e = 1 - q for a
    pulse up and e = q for one down, the mean of a step is ``1 + a e`` and its noise ``1 + b e`` times that of the tables, and the pulse
    leaves ``kept e`` of e. So the n-th pulse after a complete reversal has ``e = kept**(n - 1)``.

    Attributes:
        up, down: (a, b, kept) of each direction, a and b not below -1, kept in [0, 1).
    """

    up: tuple[float, float, float]
    down: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PulseModel:
    """Response to one programming pulse, as tables over the state of the cell.

    ``dg = gain * (mean(u) + std(u) * z)`` with z ~ N(0, 1), or ``dg = gain * Q(u, z)`` when quantiles are given, where Q is
    bilinear on (u, z) and z is the normal score of the step's probability. The new conductance is clipped to the cell's own
    bounds. ``down_*`` hold the signed change (negative for a cell that is depressed as it should). Two models are equal when they are
    the same object: what is made from a model is kept for it.

    Attributes:
        up_mean, up_std, down_mean, down_std: (T, K) siemens per pulse; T tables, one per measured device (1 for a parametric law).
        up_quantiles, down_quantiles: (T, K, Z) siemens per pulse on a uniform grid of Z normal scores over
            [-QUANTILE_Z_MAX, QUANTILE_Z_MAX], non-decreasing in z; None for Gaussian steps.
        amplitude, width: what the voltage that reaches a cell, and the length of a pulse, do to its step; None where a card does not say.
        history: what the pulses before do to a step; None for nothing. The tables are then of long runs in one direction.
    """

    up_mean: F32
    up_std: F32
    down_mean: F32
    down_std: F32
    up_quantiles: F32 | None = None
    down_quantiles: F32 | None = None
    amplitude: PulseFactor | None = None
    width: PulseFactor | None = None
    history: HistoryModel | None = None

    @property
    def tables(self) -> int:
        """Number of tables T."""
        return int(self.up_mean.shape[0])

    @property
    def linear(self) -> bool:
        """Whether two nodes describe every table exactly."""
        return self.up_quantiles is None and self.up_mean.shape[1] == 2

    def mean_step(self, u: float = 0.5) -> tuple[float, float]:
        """Mean (up, down) step in siemens at state u, averaged over the tables; with a history, of a cell half-way between two runs."""
        k = np.linspace(0.0, 1.0, self.up_mean.shape[1])
        both = [float(np.interp(u, k, mean.mean(axis=0))) for mean in (self.up_mean, self.down_mean)]
        if self.history is not None:
            both = [
                step * (1.0 + 0.5 * side[0])
                for step, side in zip(both, (self.history.up, self.history.down), strict=True)
            ]
        return both[0], both[1]


@dataclass(frozen=True)
class ReadNoiseModel:
    """Standard deviation of one read of one cell, independent from read to read.

    ``std(t)**2 = white(u)**2 + (F * f(t))**2`` with ``f(t) = sqrt(log((t + t_read) / (2 t_read)))`` for
    t >= t_read and 0 before (1/f noise integrated from the read time to the age t of the state; Joshi et al. 2020). u is the state now.
    F is ``flicker(u)`` with flicker_state "now", and ``flicker(u_T) g / g_T`` with "target", g the conductance now, g_T the target and
    u_T its state: the coefficient Q = flicker / g is that of the target, and the noise shrinks with the conductance. The white part is
    at most `most_relative` of the conductance now: fluctuations of a cell, which cannot take it below 0 S (inf for the noise of a reading,
    which can). It is the same for all cells where it is one number from g_min on.

    Attributes:
        white, flicker: (1, K) siemens.
        t_read: seconds, duration of one read; only used with flicker noise.
        flicker_state: state at which `flicker` is read.
        most_relative: see above; of the conductance.
    """

    white: F32 = field(default_factory=lambda: constant_table(0.0))
    flicker: F32 = field(default_factory=lambda: constant_table(0.0))
    t_read: float = 250e-9
    flicker_state: Literal["target", "now"] = "now"
    most_relative: float = float("inf")

    def uniform_at(self, g_min: float) -> bool:
        """Whether every cell of at least g_min siemens has the same noise at all times."""
        same = not self.flicker.any() and bool((self.white == self.white[0, 0]).all())
        # Without a limit there is nothing to compare: inf * 0 S would be no number.
        return same and (self.most_relative == float("inf") or float(self.white[0, 0]) <= self.most_relative * g_min)

    @property
    def silent(self) -> bool:
        """Whether there is no read noise at any state and time."""
        return not (self.white.any() or self.flicker.any())


@dataclass(frozen=True)
class DriftModel:
    """Power-law drift: ``g(t) = g_prog * (max(t, t_ref) / t_ref)**(-nu)``, t seconds since the cell was last written.

    Exactly g_prog at t = 0 and at t = t_ref. ``nu = clip(nu_mean(u) + nu_std(u) * z, nu_low, nu_high)`` with z one standard
    normal per cell, part of the chip's identity; u is the state as written, or the target. With `reflect` what falls below nu_low is
    mirrored there instead of cut: ``nu = min(nu_low + |nu_mean + nu_std z - nu_low|, nu_high)``.

    Attributes:
        nu_mean, nu_std: (1, K), dimensionless.
        nu_low, nu_high: bounds of nu.
        t_ref: seconds.
        state: state at which both tables are read.
        reflect: see above.
    """

    nu_mean: F32
    nu_std: F32
    t_ref: float
    nu_low: float = -1.0
    nu_high: float = 1.0
    state: Literal["target", "written"] = "written"
    reflect: bool = False


@dataclass(frozen=True)
class RelaxationModel:
    """Diffusion in log time: ``g(t) = g_prog + mean(u) * s + std(u) * W(s)``, ``s = log10(1 + t / t_0)``.

    W is a standard Brownian path in s, one per write of a cell, so that var g grows by std**2 per decade; the state as written
    already carries ``initial_std(u)`` of fast relaxation that happened before t_0: programming adds it to its error, in one step or after
    the last attempt of a write-verify loop. Clipped to [0, inf).

    With a tail, few cells move far and most stay, anew in every decade: W is a normal inverse Gaussian process of the same variance,
    ``W(s) = skew (T(s) - s) / sqrt(tail) + sqrt(1 - skew**2) B(T(s))``, B Brownian on a clock T that leaps (inverse Gaussian, mean s,
    variance tail s). After s decades its skewness is ``3 skew sqrt(tail / s)``, its excess kurtosis ``3 tail (1 + 4 skew**2) / s``.

    A share r of the cells returns, drawn anew at every write: in every decade, s from k to k + 1, such a cell is on another path of the
    same law, as if it had been on it from the beginning. The distribution at any single time is that of cells that stay, but what
    moved a cell in one decade it does not keep in the next: with x the change without its mean, ``-E[x(s) (x(s') - x(s))] = r std**2 s``.

    Attributes:
        mean, std, initial_std: (1, K) siemens (per decade for mean and std, the latter per square root of a decade).
        t_0: seconds.
        tail: (1, K) decades, not below 0; 0 is the Brownian path. skew: (1, K), within (-1, 1); nothing where the tail is 0.
        state: state u at which all tables are read.
        returning: r, in [0, 1).

    Source: Barndorff-Nielsen, Finance Stoch. 2, 41 (1998), doi:10.1007/s007800050032.
    """

    mean: F32
    std: F32
    t_0: float
    initial_std: F32 = field(default_factory=lambda: constant_table(0.0))
    tail: F32 = field(default_factory=lambda: constant_table(0.0))
    skew: F32 = field(default_factory=lambda: constant_table(0.0))
    state: Literal["target", "written"] = "written"
    returning: float = 0.0

    @property
    def in_bursts(self) -> bool:
        """Whether the path has a tail anywhere."""
        return bool(self.tail.any())


@dataclass(frozen=True)
class FaultModel:
    """Probabilities per cell (stuck) and per line (dead), drawn once at fabrication.

    A stuck cell keeps g_min (low), g_max (high) or a uniform random state for ever; every cell of a dead line reads 0 S.
    """

    stuck_low: float = 0.0
    stuck_high: float = 0.0
    stuck_random: float = 0.0
    dead_rows: float = 0.0
    dead_cols: float = 0.0

    @property
    def none(self) -> bool:
        """Whether no cell can be faulty."""
        return not (self.stuck_low or self.stuck_high or self.stuck_random or self.dead_rows or self.dead_cols)


@dataclass(frozen=True)
class VariationModel:
    """Device-to-device spread, drawn once at fabrication: relative standard deviations of normal draws around 1.

    ``gain_up = max(0, 1 + up_share (gain_common z0 + asymmetry z3) + gain_up z1)``,
    ``gain_down = max(0, 1 + down_share (gain_common z0 - asymmetry z3) + gain_down z2)``, both below 8.

    Attributes:
        gain_common: relative spread of the step size that both directions share. asymmetry: antisymmetric: one draw, added to the gain
            of the up step and subtracted from that of the down step. gain_up, gain_down: own to each direction.
        up_share, down_share: factors of the two shared draws, for spreads in units of another step than the direction's own.
        g_min, g_max: spread of the cell's own bounds, relative to the window ``g_max - g_min``; the drawn window keeps at least
            5 % of the nominal one. Lower bounds are normal draws, or log-normal ones of the same mean and standard deviation where more
            than one normal draw in 740 would be below 0 S (g_min below three standard deviations); cut at g_min 0, where no card spreads.
        symmetry: what a spread of the bounds does to the steps. "moves": the tables are read at the state between the cell's own bounds,
            so that the conductance at which up and down cancel moves with them. "kept": the gains of a cell are changed such that its mean
            steps at the nominal symmetric conductance are the nominal ones times its drawn gains, whatever its bounds; its bounds are
            drawn such that they keep that conductance between them.
        kept_at: nominal state at which the steps are kept, in (0, 1); None for the symmetric one.
        read_noise: standard deviation s of the logarithm of a cell's read noise: every read of the cell has ``exp(s z - s**2)`` times the
            standard deviation of the tables, z one standard normal per cell, so that these are root mean squares over the cells.
    """

    gain_common: float = 0.0
    gain_up: float = 0.0
    gain_down: float = 0.0
    g_min: float = 0.0
    g_max: float = 0.0
    asymmetry: float = 0.0
    up_share: float = 1.0
    down_share: float = 1.0
    symmetry: Literal["moves", "kept"] = "moves"
    kept_at: float | None = None
    read_noise: float = 0.0


@dataclass(frozen=True)
class CostModel:
    """Time and energy of each operation; what the operation log is multiplied with.

    Attributes:
        t_read: seconds of one array read (all rows and columns in parallel).
        t_pulse: seconds of one pulse slot, of either polarity: a train drives all rows in a slot, signed counts are sent a row at a time.
        t_program: seconds to program one row of cells (all iterations).
        v_read: volts; a read takes ``v_read**2 * t_read`` joules per siemens of conductance.
        e_pulse: joules per pulse; e_program: joules per cell programmed.
    """

    t_read: float = 100e-9
    t_pulse: float = 100e-9
    t_program: float = 10e-6
    v_read: float = 0.2
    e_pulse: float = 0.0
    e_program: float = 0.0


@dataclass(frozen=True)
class VerifyModel:
    """Iterative write-verify: write, read back, write again every cell whose reading is off by more than the tolerance.

    Each attempt leaves ``g = target + shot_std(u) * z``; it is accepted when ``|g + read noise - target| <= tolerance``, or after
    `max_iterations` attempts whatever it is. Replaces `CellModel.program_std`; `RelaxationModel.initial_std` comes on top.

    Attributes:
        shot_std: (1, K) siemens, error of one attempt.
        tolerance: siemens.
        max_iterations: at least 1.
    """

    shot_std: F32
    tolerance: float
    max_iterations: int


@dataclass(frozen=True)
class CellModel:
    """The complete behaviour of one kind of cell, in SI units and plain arrays.

    Attributes:
        name: the card's name, for messages and reports only.
        g_min, g_max: siemens, the nominal conductance window; 0 <= g_min < g_max.
        pulse: response to pulses; None for cells that can only be programmed to a target.
        program_std: (1, K) siemens, error left after programming to a target (write-verify finished).
        verify: iterative write-verify instead of the one-step `program_std`.
        levels: (L,) siemens ascending, the conductances a program operation can aim at; None for continuous.
        read, drift, relaxation, faults, variation, cost: the other parts; None for a cell without it.
        windows: (T, 2) siemens, own (g_min, g_max) of every pulse table; None when all share the nominal window.
        endurance: pulses after which the window of a cell has closed to half; inf for none.
        half_select: fraction of a step that a pulse on a selected line costs the unselected cells of that line; 0 with a
            `PulseModel.amplitude`, which says it.
        read_disturb: relative conductance change towards g_max per read (a tiny number).
        iv_alpha: non-linearity of the separable I-V curve, ``i = g * sinh(alpha v) / alpha``; 0 is ohmic. Per volt.
    """

    name: str
    g_min: float
    g_max: float
    pulse: PulseModel | None = None
    program_std: F32 = field(default_factory=lambda: constant_table(0.0))
    verify: VerifyModel | None = None
    levels: F32 | None = None
    read: ReadNoiseModel = field(default_factory=ReadNoiseModel)
    drift: DriftModel | None = None
    relaxation: RelaxationModel | None = None
    faults: FaultModel = field(default_factory=FaultModel)
    variation: VariationModel = field(default_factory=VariationModel)
    cost: CostModel = field(default_factory=CostModel)
    windows: F32 | None = None
    endurance: float = float("inf")
    half_select: float = 0.0
    read_disturb: float = 0.0
    iv_alpha: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.g_min < self.g_max < float("inf"):
            raise ValueError(f"CellModel {self.name}: needs 0 <= g_min < g_max (got {self.g_min}, {self.g_max} S)")
        if self.windows is not None and not (np.diff(self.windows)[:, 0] > 0.0).all():  # NaN fails here too
            raise ValueError(f"CellModel {self.name}: the window of a pulse table has no width")
        if self.half_select and self.pulse is not None and self.pulse.amplitude is not None:
            raise ValueError(
                f"CellModel {self.name}: half_select = {self.half_select:g} and pulse.amplitude both say what half-selected cells suffer"
            )

    @property
    def window(self) -> float:
        """Width of the nominal conductance window in siemens."""
        return self.g_max - self.g_min

    @property
    def ages(self) -> bool:
        """Whether conductances change while time passes."""
        return self.drift is not None or self.relaxation is not None

    @property
    def drifts(self) -> bool:
        """Whether the mean conductance moves while time passes, which a gain can undo; relaxation without a mean only scatters."""
        return self.drift is not None or (self.relaxation is not None and bool(self.relaxation.mean.any()))

    @property
    def needs_target(self) -> bool:
        """Whether any table is read at the target that was programmed, so that every cell must remember its own."""
        drift, relaxation = self.drift, self.relaxation
        of_drift = drift is not None and drift.state == "target" and _varies(drift.nu_mean, drift.nu_std)
        paths = () if relaxation is None else (relaxation.mean, relaxation.std, relaxation.tail, relaxation.skew)
        of_paths = relaxation is not None and relaxation.state == "target" and _varies(*paths)
        return of_drift or of_paths or (self.read.flicker_state == "target" and bool(self.read.flicker.any()))


def _varies(*tables: F32) -> bool:
    """Whether any table depends on the state."""
    return any(bool((table != table[..., :1]).any()) for table in tables)
