"""Digital-to-analogue and analogue-to-digital converters: what the user configures, and the lines of converters that a block has.

Signed mid-tread converters: b bits give the codes -(2**(b-1) - 1) ... 2**(b-1) - 1, so zero is exact. Digital-to-analogue converters of
inputs that are never negative give the codes 0 ... 2**b - 1. Knows no weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Q, StrictModel
from analog_sim.random.streams import Stream, Streams
from analog_sim.reads.kernels import converting as kernels
from analog_sim.reads.kernels.noisy_conversion import evenly_noisy_adc, noisy_adc
from analog_sim.reads.noise import add_noise, spread_over
from analog_sim.reads.polarity import Polarity
from analog_sim.threads import rows_of

F32 = npt.NDArray[np.float32]
Bits = Annotated[int, Field(ge=2, le=16)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
_NO_BITS: Mapping[str, str] = MappingProxyType({"bits": "no quantisation"})
WORTH_A_THREAD = 2**13
"""Noisy conversions that are worth a thread: some 10 us."""
PASSED_BY_A_THREAD = 2**15
"""Inputs, likewise."""


def steps(bits: int | None) -> int:
    """Codes on either side of zero, 2**(bits - 1) - 1; 0 means no quantisation."""
    return 0 if bits is None else 2 ** (bits - 1) - 1


class DacSpec(StrictModel):
    """Converters on the word lines.

    Attributes:
        bits: resolution, None for ideal.
        signed: True: codes for both signs; False: none for negative inputs, which are set to 0, counted and said; "auto": both signs, but
            none for negative inputs while no sample input of a calibration was negative. Transposed reads always have both signs.
        scaling: full scale of the input: "per_vector" and "per_batch" divide by the abs-max (digital input scaling), a number is a
            constant full scale in units of the input, beyond which it clips.
        gain_spread, offset_spread: standard deviation over lines of the gain error and of the offset (in full scales).
        inl: integral non-linearity, peak deviation in full scales of a random smooth bow per line.
        bit_serial: inputs are applied one bit at a time, with as many reads and conversions as `bits` - 1 (or `bits` where no code is
            for negative inputs), added digitally.
    """

    null_means: ClassVar[Mapping[str, str]] = _NO_BITS

    bits: Bits | None = None
    signed: Literal["auto"] | bool = "auto"
    scaling: Literal["per_vector", "per_batch"] | Annotated[float, Field(ge=1e-30, le=1e6)] = "per_vector"
    gain_spread: Fraction = 0.0
    offset_spread: Fraction = 0.0
    inl: Fraction = 0.0
    bit_serial: bool = False

    @property
    def calibrates(self) -> bool:
        """Whether there are codes whose sign a calibration decides about."""
        return self.bits is not None and self.signed == "auto"

    @property
    def errors(self) -> bool:
        """Whether lines differ from the ideal staircase."""
        return bool(self.gain_spread or self.offset_spread or self.inl)


class AdcSpec(StrictModel):
    """Converters on the bit lines.

    Attributes:
        bits: resolution, None for ideal.
        range: full scale: "calibrated" on sample inputs (until then, and for transposed reads, "auto"), "auto" from the weights when they
            are programmed or the tile is calibrated, "dynamic" on the abs-max of every batch, or a fixed current.
        per_column: own range for every column (calibrated and auto).
        headroom: factor on the calibrated, auto or dynamic range.
        noise: standard deviation of the converter's input noise, in full scales.
        gain_spread, offset_spread: over columns, the gain error and the offset (in full scales).
        inl: integral non-linearity, peak deviation in full scales of a random smooth bow per column.
    """

    null_means: ClassVar[Mapping[str, str]] = _NO_BITS

    bits: Bits | None = None
    range: Literal["calibrated", "auto", "dynamic"] | Annotated[float, Q("current", "A", gt=0.0)] = "calibrated"
    per_column: bool = False
    headroom: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    noise: Fraction = 0.0
    gain_spread: Fraction = 0.0
    offset_spread: Fraction = 0.0
    inl: Fraction = 0.0

    @property
    def exact(self) -> bool:
        """Whether readings are the currents themselves, so that no range matters."""
        return self.bits is None and not self.noise and not self.errors

    @property
    def calibrates(self) -> bool:
        """Whether there is a range that follows the weights when a tile is calibrated."""
        return not self.exact and self.range in ("calibrated", "auto")

    @property
    def errors(self) -> bool:
        """Whether columns differ from the ideal staircase."""
        return bool(self.gain_spread or self.offset_spread or self.inl)


@dataclass(frozen=True)
class LineErrors:
    """Static errors of a row of converters; each (n,), in full scales.

    Attributes:
        gain: 1 plus the gain error. offset: full scales.
        bow: amplitude of a cubic bow, ``inl(x) = bow (x - x**3) 3 sqrt(3) / 2`` for x in [-1, 1]: peak |bow|,
            zero at 0 and at the ends.
    """

    gain: F32
    offset: F32
    bow: F32

    @classmethod
    def draw(cls, spec: DacSpec | AdcSpec, n: int, streams: Streams, name: str) -> "LineErrors":
        """Draw the errors of n converters; each kind of error has its own stream."""
        normals = [streams.stream(f"fabrication.{name}.{kind}").normals((n,)) for kind in ("gain", "offset", "bow")]
        spreads = (spec.gain_spread, spec.offset_spread, spec.inl)
        gain, offset, bow = (np.float32(s) * z for s, z in zip(spreads, normals, strict=True))
        # A data sheet states the INL as a maximum: the sign and the size up to it differ from line to line.
        return cls(1 + gain, offset, np.clip(bow, -spec.inl, spec.inl).astype(np.float32))

    def distort(self, x: F32) -> F32:
        """Transfer of inputs in full scales, (B, n)."""
        bowed = x + self.bow * (x - x * x * x) * np.float32(1.5 * 3**0.5)
        return bowed * self.gain + self.offset


class Dac:
    """A row of converters that drives one side of a block, with the digital scaling before it.

    Args:
        spec: configuration.
        lines: number of lines.
        v_full: volts at full scale.
        streams: identity of the block's converters.
        name: "dac" for the word lines, "dac_back" for the bit lines.
        polarity: of the inputs, shared with the tile's other converters; both signs when None.
    """

    def __init__(
        self,
        spec: DacSpec,
        lines: int,
        v_full: float,
        streams: Streams,
        name: str = "dac",
        polarity: Polarity | None = None,
    ) -> None:
        self.spec = spec
        self._polarity = Polarity(signed=True) if polarity is None else polarity
        self.lines, self.v_full = lines, v_full
        self._errors = LineErrors.draw(spec, lines, streams, name) if spec.errors else None

    @property
    def top(self) -> int:
        """Largest code; 0 means no quantisation."""
        bits = self.spec.bits
        return 2**bits - 1 if bits is not None and self._polarity.unsigned else steps(bits)

    def full_scale(self, x: F32) -> F32:
        """Input value (B,) that is mapped on the full voltage."""
        scaling = self.spec.scaling
        if isinstance(scaling, float):
            return np.full(len(x), scaling, np.float32)
        scale = np.empty(len(x), np.float32)
        kernels.scale_rows(*rows_of(x, PASSED_BY_A_THREAD), x.view(np.int32), scale.view(np.int32))
        return scale if scaling == "per_vector" else np.full(len(x), scale.max(), np.float32)

    def convert(self, x: F32, scale: F32, first: int = 0) -> F32:
        """Volts (B, lines) for inputs of full scales (B,): columns first ... first + lines - 1 of x."""
        v = np.empty((len(x), self.lines), np.float32)
        if x.shape[1] < first + self.lines:
            raise ValueError(f"Dac.convert: {self.lines} inputs from {first} on (got {x.shape[1]} in all)")
        kernels.dac_rows(
            *rows_of(v, PASSED_BY_A_THREAD), x, first, scale, np.float32(self.top), np.float32(self.v_full), v
        )
        if self._errors is not None:
            v = self._errors.distort(v / np.float32(self.v_full)) * np.float32(self.v_full)
        return v

    def bit_planes(self, x: F32, scale: F32) -> tuple[F32, F32]:
        """Bit-serial form: volts (planes, B, lines) of -1, 0 or 1 full scales, and the weight of each plane."""
        top = self.top
        codes = np.rint(np.clip(x / scale[:, None], -1, 1) * top).astype(np.int32)
        sign, magnitude = np.sign(codes), np.abs(codes)
        places = np.arange(int(top).bit_length())
        digits = (magnitude[None] >> places[:, None, None]) & 1
        volts = (digits * sign).astype(np.float32)
        if self._errors is not None:
            volts = self._errors.distort(volts)
        return volts * np.float32(self.v_full), (2.0**places / top).astype(np.float32)


class Adc:
    """A row of converters that senses one side of a block.

    Args:
        spec: configuration.
        lines: number of lines.
        streams: identity and noise of the block's converters.
        name: "adc" for the bit lines, "adc_back" for the word lines.
    """

    def __init__(self, spec: AdcSpec, lines: int, streams: Streams, name: str = "adc") -> None:
        self.spec = spec
        self._errors = LineErrors.draw(spec, lines, streams, name) if spec.errors else None
        self.noise: Stream = streams.stream(f"{name}.noise")
        self._steps = np.float32(steps(spec.bits))
        self.full_range = np.full(lines, spec.range if isinstance(spec.range, float) else 1.0, np.float32)

    @property
    def exact(self) -> bool:
        """Whether readings are the currents themselves, so that no range matters."""
        return self.spec.exact

    @property
    def full_range(self) -> F32:
        """Full scale of every converter, (lines,) amperes."""
        return self._full

    @full_range.setter
    def full_range(self, amperes: F32) -> None:
        self._full = amperes
        self._lsb = amperes / np.float32(max(float(self._steps), 1.0))
        self._codes_per_ampere = np.float32(1.0) / self._lsb

    def set_range(self, currents: F32) -> None:
        """Set the range (lines,) amperes from expected abs-max currents (lines,); ignored when the range is a fixed current."""
        if isinstance(self.spec.range, float):
            return
        wanted = currents if self.spec.per_column else np.full_like(currents, currents.max())
        floor = np.float32(max(float(currents.max()) * 1e-3, 1e-30))
        self.full_range = np.maximum(wanted * np.float32(self.spec.headroom), floor).astype(np.float32)

    def convert(self, current: F32, row_scale: F32, out: F32, *, accumulate: bool, variance: F32 | None = None) -> None:
        """Digitise currents (B, lines) in amperes and put ``row_scale_b * reading`` into out, adding when `accumulate`.

        current: overwritten; it may be `out`. variance: of read noise that is not in the currents yet, as `EmulatedCrossbar.sense`
        returns it; drawn here, together with the converter's own noise.
        """
        if self.spec.range == "dynamic":
            # The range follows the noisy currents, and the converter's noise follows the range.
            if variance is not None:
                add_noise(self.noise, current, variance)
                variance = None
            self.set_range(np.abs(current).max(axis=0))
        self._digitise(current, *self._with_own_noise(variance), row_scale)
        if accumulate:
            out += current
        elif current is not out:
            out[...] = current

    def _with_own_noise(self, variance: F32 | None) -> tuple[F32 | None, float]:
        """Variance and further standard deviation (one number for all) of the noise of cells and converters, which is one Gaussian."""
        std = self.spec.noise * float(self._full[0])
        if not self.spec.per_column or std == 0.0:
            return variance, std
        own = np.square(np.float32(self.spec.noise) * self._full)
        return own if variance is None else variance + own, 0.0

    def _digitise(self, current: F32, variance: F32 | None, std: float, row_scale: F32) -> None:
        """Noise, static errors and conversion, in place."""
        law = self._codes_per_ampere, self._lsb, self._steps, row_scale
        noisy = variance is not None or std > 0.0
        if noisy and self._errors is None:
            if variance is not None and not (variance.shape == (len(current), 1) and variance.flags.c_contiguous):
                variance = spread_over(current, variance)
            self._digitise_with_noise(current, variance, std, row_scale)
            return
        if noisy:
            add_noise(self.noise, current, variance, std=std)
        if self._errors is not None:
            current[...] = self._errors.distort(current / self._full) * self._full
        kernels.adc_rows(current, *law)

    def _digitise_with_noise(self, current: F32, spread: F32 | None, std: float, row_scale: F32) -> None:
        """Noise of that variance (B, lines) or (B, 1), or none, and standard deviation, and conversion."""
        key0, key1, offset = self.noise.reserve(current.size)
        draws = np.float32(std), key0, key1, offset
        law = self._codes_per_ampere, self._lsb, self._steps, row_scale
        rows = rows_of(current, WORTH_A_THREAD)
        if spread is None:
            evenly_noisy_adc(*rows, current, draws, law)
        else:
            noisy_adc(*rows, current, spread, draws, law)
