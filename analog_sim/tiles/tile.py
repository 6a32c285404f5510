"""One weight matrix on a chip: mapping, converters, crossbars, drift compensation and the write scheme. Never sees a loss."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, NotRequired, TypedDict

from analog_sim.compiling.collector import resting

with resting():
    import numpy as np
    import numpy.typing as npt
    from pydantic import Field

    from analog_sim.archive import read_archive
    from analog_sim.cells.cell_model import CellModel
    from analog_sim.cells.state import Fault
    from analog_sim.chip.clock import Clock, check_seconds
    from analog_sim.chip.cost import ConversionCounter, ConverterCost, Costs
    from analog_sim.chip.crossbar import ChipInfo, Crossbar
    from analog_sim.chip.fabric import EmulatedFabric, Fabric, Fabrication
    from analog_sim.config import DataFile, StrictModel, UserError, one_of
    from analog_sim.mapping.weight_mapping import (
        Cut,
        MappingSpec,
        cut,
        digits,
        fractions,
        full_weight,
        net_window,
        slice_coefficients,
        targets,
    )
    from analog_sim.random.streams import Streams
    from analog_sim.reads.converters import Adc, AdcSpec, Dac, DacSpec
    from analog_sim.reads.polarity import Polarity
    from analog_sim.saved_state import State, put, taken
    from analog_sim.tiles.array_group import ArrayGroup
    from analog_sim.tiles.probes import Probes
    from analog_sim.wires import WiresSpec
    from analog_sim.writing.choice import scheme_for
    from analog_sim.writing.proposal import OuterProduct, Proposal
    from analog_sim.writing.scheme import Writer, WriteScheme, WriteTarget

F32 = npt.NDArray[np.float32]


class HalfUpdateWarning(UserWarning):
    """Pulses on both cells of pairs one of which cannot be depressed; said by each tile at its first update."""


class TileSpec(StrictModel):
    """Everything about a tile that is not the cell.

    Attributes:
        mapping: weights to conductances, and the largest array.
        dac: converters that drive the arrays, both directions.
        adc: converters that sense them; the transposed read uses its own with the same specification.
        compensation: digital output gain that undoes the mean drift, measured with known inputs: "none", one for the tile ("global"), one
            for every column ("per_column"); "auto" is global for cells whose conductance drifts and none for others.
        probes: known inputs of one compensation measurement; default as many as make it complete, at most 1024 (`analog_sim.tiles.probes`).
        writing: how a weight change reaches the cells; None for what the cells can do (`analog_sim.writing.choice`).
        cost: price of the conversions.
        fault_map: an .npz file with an array `fault` (planes, rows, cols) of fault codes, applied to every array (cropped).
        count_pulses: keep a pulse counter for every cell.
        wires: resistance of the lines of every array (IR drop), None for ideal ones; see docs/wires.md for what sees them.
    """

    mapping: MappingSpec = MappingSpec()
    dac: DacSpec = DacSpec()
    adc: AdcSpec = AdcSpec()
    compensation: Literal["auto", "none", "global", "per_column"] = "auto"
    probes: Annotated[int, Field(ge=1, le=2**16)] | None = None
    writing: Annotated[WriteScheme, one_of("analog_sim.writing", WriteScheme)] | None = None
    cost: ConverterCost = ConverterCost()
    fault_map: DataFile | None = None
    count_pulses: bool = False
    wires: WiresSpec | None = None

    def settled(self, cell: CellModel) -> "TileSpec":
        """The same with everything written out that was left to the cells: compensation and write scheme."""
        compensation = self.compensation
        if compensation == "auto":
            compensation = "global" if cell.drifts else "none"
        writing = scheme_for(cell) if self.writing is None else self.writing
        return self.model_copy(update={"compensation": compensation, "writing": writing})


LARGEST_WEIGHT = 1e30
"""Of the largest weight of a tile, and one over it of the smallest: beyond it the scale of a tile leaves 32-bit numbers."""
_ABILITIES = {
    "pulsed": "single pulses",
    "parallel_pulse": "pulses on all lines at once",
    "programmable": "programming to a target",
}
"""What a write scheme may need of a chip, in words; the keys are fields of `ChipInfo`."""


def _real(values: npt.ArrayLike, what: str) -> F32:
    """Numbers as float32, without a copy where they are. Raises ValueError for texts, objects and complex numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} must be real numbers (got {array.dtype})")
    return np.asarray(array, np.float32)


class TileState(TypedDict):
    """What later operations of a tile depend on."""

    blocks: list[State]
    gain: F32
    probe_reference: F32 | None
    full_weight: float
    conversions: list[int]
    polarity: list[int]
    writer: State | None
    writers: int
    programmed: NotRequired[bool]
    arrays: dict[str, State]
    time: float


class Tile:
    """A weight matrix (n_out, n_in) held by cells.

    Args:
        spec: mapping, converters, compensation.
        cells: the place on a chip that its arrays come from, or a compiled device card, of which emulated cells are then made.
        shape: (n_out, n_in).
        streams: identity and noise of this tile's converters, probes and writer, and of emulated cells of a card.
        clock: chip time of emulated cells of a card; a new one when None.

    Raises:
        UserError: the configuration asks for what this card or mapping cannot give.
    """

    def __init__(
        self,
        spec: TileSpec,
        cells: CellModel | Fabric,
        shape: tuple[int, int],
        streams: Streams,
        clock: Clock | None = None,
    ) -> None:
        if len(shape) != 2 or min(shape) < 1 or any(int(n) != n for n in shape):
            raise ValueError(f"Tile: shape must be (n_out, n_in), whole numbers, both at least 1 (got {shape})")
        if spec.dac.bit_serial and spec.dac.bits is None:
            raise UserError("tile.dac: bit_serial needs a number of bits")
        self._fabric = _fabric(cells, streams, clock)
        self.cell = self._fabric.cell
        self.spec = spec = _resolved(spec.settled(self.cell))
        self.shape = (int(shape[0]), int(shape[1]))
        self.clock = self._fabric.clock
        self._counter = ConversionCounter()
        self._polarity = Polarity(spec.dac.signed if spec.dac.calibrates or spec.dac.signed is False else True)
        fault_map = _load_fault_map(spec.fault_map)
        cuts = list(enumerate(cut(self.shape, spec.mapping, self._fabric.largest)))
        together = len(cuts) * spec.mapping.slices
        self.blocks = tuple(self._make_block(k, c, streams.child("block", k), fault_map, together) for k, c in cuts)
        self._probes = Probes(self.shape[1], spec.probes, streams.stream("probe"))
        self._probe_reference: F32 | None = None
        self._gain: F32 = np.ones(self.shape[0], np.float32)
        self._compensated = False
        self.full_weight = full_weight(0.0, spec.mapping)
        self._window = net_window(spec.mapping, self.cell)
        self._streams = streams
        self._writer: Writer | None = None
        self._writers = 0
        self._arrays: dict[str, Tile] = {}
        self._programmed = False

    def _make_block(
        self,
        number: int,
        where: Cut,
        streams: Streams,
        fault_map: npt.NDArray[np.integer] | None,
        together: int,
    ) -> ArrayGroup:
        spec, cell = self.spec, self.cell
        rows, cols = where.rows.stop - where.rows.start, where.cols.stop - where.cols.start
        reference = spec.mapping.kind == "reference"
        faults = _crop(fault_map, spec.mapping.pair, rows, cols + reference)
        wishes = Fabrication(faults, spec.count_pulses, spec.wires, together)
        arrays = tuple(
            self._fabric.crossbar(
                ("block", number, "slice", k), rows, cols + reference, pair=spec.mapping.pair, wishes=wishes
            )
            for k in range(spec.mapping.slices)
        )
        v = cell.cost.v_read
        return ArrayGroup(
            arrays,
            tuple(slice_coefficients(spec.mapping)),
            rows=where.rows,
            cols=where.cols,
            reference=reference,
            dac=Dac(spec.dac, rows, v, streams, polarity=self._polarity),
            adc=Adc(spec.adc, cols, streams),
            dac_back=Dac(spec.dac, cols, v, streams, "dac_back"),
            adc_back=Adc(spec.adc, rows, streams, "adc_back"),
            clock=self.clock,
        )

    @property
    def _reads_per_vector(self) -> int:
        return self.blocks[0].dac.top.bit_length() if self.spec.dac.bit_serial else 1

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self.clock.now

    @property
    def scale(self) -> float:
        """Siemens of net conductance per unit of weight."""
        return self._window / self.full_weight

    @property
    def gain(self) -> F32:
        """Digital output gain of the drift compensation, (n_out,)."""
        return self._gain

    @property
    def compensated(self) -> bool:
        """Whether any of these gains is another than 1."""
        return self._compensated

    @property
    def mapping(self) -> MappingSpec:
        """How weights are held."""
        return self.spec.mapping

    def __repr__(self) -> str:
        arrays = f"{len(self.arrays)} array{'s' if len(self.arrays) != 1 else ''}"
        return f"<tile of {self.shape[0]} x {self.shape[1]} weights (outputs x inputs) on {arrays}, chip time {self.time:.3g} s>"

    @property
    def arrays(self) -> tuple[Crossbar, ...]:
        """All crossbars, block by block and slice by slice."""
        return tuple(array for block in self.blocks for array in block.arrays)

    @property
    def on_chip(self) -> bool:
        """Always: this is what a digital tile is not."""
        return True

    @property
    def inspectable(self) -> bool:
        """Whether the truth of all cells can be seen, set and put back."""
        return all(block.inspectable for block in self.blocks)

    @property
    def capabilities(self) -> ChipInfo:
        """What the arrays can do."""
        return self.blocks[0].arrays[0].info

    def program(self, w: F32) -> None:
        """Write the weights (n_out, n_in) into the cells; chooses the scale and the converters' ranges, then as `write_weights`.

        Raises:
            ValueError: wrong shape, or weights that are not finite, or beyond 32-bit arithmetic (largest magnitude 1e-30 to 1e30, or 0).
        """
        w = _real(w, "Tile.program: weights")
        if w.shape != self.shape:
            raise ValueError(f"Tile.program: weights must have shape {self.shape} (got {w.shape})")
        highest, lowest = float(w.max()), float(w.min())
        if not (math.isfinite(highest) and math.isfinite(lowest)):  # NaN is passed on by both
            raise ValueError("Tile.program: weights must be finite")
        largest = max(highest, -lowest)
        if largest and not 1.0 / LARGEST_WEIGHT <= largest <= LARGEST_WEIGHT:
            raise ValueError(
                f"Tile.program: the largest weight must be 0 or from {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g} (got {largest:g})"
            )
        self.full_weight = full_weight(largest, self.spec.mapping)
        self._programmed = True
        if self._writer is not None:
            self._writer = (
                None  # what it knows of steps per weight, and what it has gathered, belongs to the old weights
            )
            self._writers += 1
        self._program_blocks(w)
        for block in self.blocks:
            block.auto_range()
        self._reference_compensation(w)

    def _check_programmed(self, operation: str) -> None:
        """Before the first weights there is no scale: what the cells of a new chip hold are no weights. Raises ValueError."""
        if not self._programmed:
            raise ValueError(f"Tile.{operation}: no weights yet; call Tile.program(weights) first")

    def write_weights(self, w: F32) -> None:
        """Write the weights (n_out, n_in) at the present scale, with programming error; converters stay as they are.

        The cells' clocks restart, so the drift compensation starts anew: gain 1, and its reference is measured on the new cells.
        """
        self._check_programmed("write_weights")
        self._program_blocks(w)
        self._reference_compensation(np.asarray(w, np.float32))

    def _program_blocks(self, w: F32) -> None:
        with self.clock.parallel():
            for block in self.blocks:
                self._program_block(block, w)

    def _reference_compensation(self, w: F32) -> None:
        """Digital gain of 1; outputs for the known inputs as they are now, which later measurements are compared with.

        With a gain for every column against the drop on the wires: the outputs of the weights w themselves, and the gains measured now.
        """
        self._set_gain(np.ones(self.shape[0], np.float32))
        if self._gains_columns:
            self._probe_reference = self._polarity.drivable(self._probes.inputs()) @ w.T
            self.compensate()
            return
        self._probe_reference = None if self.spec.compensation == "none" else self._read_probes()

    @property
    def _gains_columns(self) -> bool:
        """Whether every output has a gain that undoes what its wires take."""
        wires = self.spec.wires
        return wires is not None and wires.column_gain and not wires.ideal

    def new_arrays(self, name: str) -> "Tile":
        """A tile of the same cells, cut and scale on arrays of its own, for write schemes that need a second matrix; shares the clock.

        They are fabricated when they are first asked for. A writer that is made anew gets the same arrays, as they were left, with the
        present scale.
        """
        if name not in self._arrays:
            place, streams = self._fabric.at("arrays", name), self._streams.child("arrays", name)
            self._arrays[name] = Tile(self.spec, place, self.shape, streams)
        other = self._arrays[name]
        other.full_weight, other._programmed = self.full_weight, self._programmed
        return other

    def update(self, proposal: Proposal, rate: float) -> None:
        """``W <- W - rate * gradient`` as well as the write scheme and the cells can.

        Raises:
            UserError: the cells or the mapping cannot do what the scheme needs.
            ValueError: another shape, or numbers that are not finite: they would stay in the cells.
        """
        self._check_programmed("update")
        self._check_proposal(proposal, rate)
        if self._writer is None:
            self._writer = self._make_writer()
        self._writer.update(proposal, rate)

    def _check_proposal(self, proposal: Proposal, rate: float) -> None:
        """Raise ValueError for a gradient of another shape, or with numbers that would stay in the cells."""
        n_out, n_in = self.shape
        if isinstance(proposal, OuterProduct):
            batch = len(proposal.d) if proposal.d.ndim else 0
            fits = proposal.d.shape == (batch, n_out) and proposal.x.shape == (batch, n_in)
        else:
            fits = proposal.dw.shape == self.shape
        if not fits:
            parts = (proposal.d, proposal.x) if isinstance(proposal, OuterProduct) else (proposal.dw,)
            got = " and ".join(str(part.shape) for part in parts)
            raise ValueError(f"Tile.update: the gradient must be of a matrix {self.shape} (got {got})")
        if not (math.isfinite(rate) and proposal.finite):
            raise ValueError("Tile.update: rate and gradient must be finite: what is not would stay in the cells")

    def check_writing(self) -> None:
        """Whether these arrays can be written as `writing` says; nothing is sent to them. Raises UserError."""
        scheme, can = self.spec.writing, self.capabilities
        assert scheme is not None, "a tile's own specification is settled"
        if self.spec.mapping.slices > 1:
            raise UserError(
                "tile.mapping.slices: a weight in bit slices can be programmed, not updated in place (use slices: 1)"
            )
        missing = [need for need in sorted(scheme.needs) if not getattr(can, need)]
        if "inspectable" in missing:
            raise UserError(
                f"tile.writing: '{scheme.kind}' sets cells exactly, which only an open emulated chip allows (chip: emulated); "
                "write this chip by pulses or by programming"
            )
        if missing:
            cannot = ", ".join(f"{need}: false" for need in missing)
            raise UserError(
                f"tile.writing: '{scheme.kind}' needs {' and '.join(_ABILITIES[need] for need in missing)}, which the chip of cells "
                f"'{self.cell.name}' cannot do ({cannot})"
                + (" (its card has no part `pulse`)" if "pulsed" in missing else "")
            )

    def _make_writer(self) -> Writer:
        self.check_writing()
        scheme = self.spec.writing
        assert scheme is not None, "a tile's own specification is settled"
        # Every writer draws from streams of its own: one that is made anew after `program` does not repeat the pulses of the last.
        streams = self._streams.child("writing") if not self._writers else self._streams.child("writing", self._writers)
        if scheme.moves_both_cells and self.spec.mapping.pair and self.spec.mapping.sides == "one":
            warnings.warn(
                f"tile.writing: '{scheme.kind}' pulses both cells of a pair, but with tile.mapping.sides: one a cell of each begins at"
                " the end of its window, where depression does nothing: updates are half of what was asked until the pair has left it"
                " (sides: two or auto, or pair: one_sided with a refresh, make them whole)",
                HalfUpdateWarning,
                stacklevel=3,
            )
        return scheme.writer(self, streams)

    def writing_statistics(self) -> dict[str, float]:
        """What the write scheme has to report, nothing before the first update; and what reads under wires have, where there are any."""
        return ({} if self._writer is None else self._writer.statistics()) | self._wires_statistics()

    def _wires_statistics(self) -> dict[str, float]:
        found = [array.inside.wires_report for array in self.arrays if array.inside is not None]
        reports = [report for report in found if report is not None]
        if not reports:
            return {}
        return {
            "wires_solved": float(sum(report.solved for report in reports)),
            "wires_matrices": float(sum(report.matrices for report in reports)),
            "wires_corrected": float(sum(report.corrected for report in reports)),
            "wires_error": max(report.error for report in reports),
            "wires_noise_error": max(report.noise_error for report in reports),
            "wires_drop_error": max(report.drop_error for report in reports),
        }

    def _program_block(self, block: ArrayGroup, w: F32) -> None:
        fraction = fractions(w, Cut(block.rows, block.cols), self.full_weight)
        for array, (part, _) in zip(block.arrays, digits(fraction, self.spec.mapping), strict=True):
            if block.reference:
                part = np.pad(part, ((0, 0), (0, 1)))  # the reference cells hold the weight zero
            array.program(self._shaped(targets(part, self.spec.mapping, self.cell)))

    def _shaped(self, wanted: F32) -> F32:
        """Targets (planes, rows, cols) siemens that make the effective matrix the wanted one, where the configuration says so."""
        wires = self.spec.wires
        if wires is None or wires.ideal or wires.programming == "nominal":
            return wanted
        from analog_sim.wires import shaped_planes

        window = (self.cell.g_min, self.cell.g_max)
        return shaped_planes(wanted, wires.forward(), wires.pair, window, wires.rounds, scaled=wires.column_gain)

    def calibrate(self, x: F32) -> None:
        """Fit the converters' ranges to the weights as they are now, unless they are dynamic or fixed currents.

        Where the configuration leaves it open, sample inputs that are never negative get all codes of the word-line converters.
        Forward ranges follow the currents of sample inputs x (B, n_in) when the configuration says "calibrated"; otherwise, and for the
        transposed read, whose inputs nobody knows beforehand, they are as after programming (`ArrayGroup.auto_range`).
        """
        self._check_programmed("calibrate")
        x = np.ascontiguousarray(x, np.float32)
        self._polarity.choose(x)
        if not self.spec.adc.calibrates:
            return
        for block in self.blocks:
            block.auto_range()
            if self.spec.adc.range == "calibrated":
                block.calibrate(np.ascontiguousarray(x[:, block.rows]), block.dac.full_scale(x))

    def forward(self, x: F32) -> F32:
        """``y = W x``: (B, n_in) -> (B, n_out), through DAC, cells, read noise, ADC and the digital gain."""
        self._check_programmed("forward")
        x = self._polarity.admit(np.ascontiguousarray(_real(x, "Tile.forward: inputs")))
        out = self._read(x, 1)
        return np.multiply(out, self._gain, out=out) if self._compensated else out

    def backward(self, d: F32) -> F32:
        """``x = W^T d``: (B, n_out) -> (B, n_in), by the transposed read of the same cells."""
        self._check_programmed("backward")
        d = _real(d, "Tile.backward: inputs")
        return self._read(np.ascontiguousarray(d * self._gain if self._compensated else d), 0)

    def _read(self, x: F32, side: int) -> F32:
        """Read every block in one direction; side 1: inputs on the rows, side 0: inputs on the columns."""
        if x.ndim != 2 or x.shape[1] != self.shape[side]:
            raise ValueError(f"Tile: input must have shape (B, {self.shape[side]}) (got {x.shape})")
        forward = side == 1
        first = self.blocks[0].dac if forward else self.blocks[0].dac_back
        scale = first.full_scale(x)
        row_gain = scale / np.float32(first.v_full * self.scale)
        out = np.empty((len(x), self.shape[1 - side]), np.float32)
        seconds = self.spec.cost.t_adc * len(x) * self._reads_per_vector
        if len(self.blocks) == 1:
            self._read_block(self.blocks[0], forward, x, (scale, row_gain), out, seconds, accumulate=False)
            return out
        started: dict[int, F32] = {}
        with self.clock.parallel():
            for block in self.blocks:
                target = block.cols if forward else block.rows
                accumulate = target.start in started
                strip = started.setdefault(target.start, _strip(out, target))
                self._read_block(block, forward, x, (scale, row_gain), strip, seconds, accumulate=accumulate)
        for block in self.blocks:
            target = block.cols if forward else block.rows
            strip = started[target.start]
            if strip is not out:
                out[:, target] = strip
        return out

    def _read_block(
        self,
        block: ArrayGroup,
        forward: bool,
        x: F32,
        scales: tuple[F32, F32],
        out: F32,
        seconds: float,
        *,
        accumulate: bool,
    ) -> None:
        """Read one block, and let the time of its conversions pass. scales: full scale and gain of every input."""
        with self.clock.sequence():
            read = block.forward if forward else block.backward
            read(x, *scales, out, self._counter, accumulate=accumulate)
            self.clock.advance(seconds)

    def read_weights(self, *, exact: bool = False) -> F32:
        """Weights (n_out, n_in) as the cells hold them now, gain included: read one by one with read noise, or the emulator's truth.

        Where the chip is sealed the exact values are not available, and `exact` reads too.
        """
        self._check_programmed("read_weights")
        w = np.empty(self.shape, np.float32)
        with self.clock.parallel():
            for block in self.blocks:
                net = block.net_now() if exact else block.net_read()
                w[block.cols, block.rows] = net.T / np.float32(self.scale)
        return w * self._gain[:, None]

    def wait(self, seconds: float) -> None:
        """Let chip time pass for everything that shares this tile's clock. Raises ValueError for time that is negative or not finite."""
        check_seconds(seconds)
        with self.clock.parallel():
            for array in self.arrays:
                array.wait(seconds)

    def compensate(self) -> None:
        """Measure how much the outputs have shrunk since programming and set the digital gain that undoes it.

        ``gain = <y_0, y_0> / <y_0, y>`` over the known inputs, for the tile or for each column; nothing when the configuration says "none".
        With a complete set of inputs, see `analog_sim.tiles.probes`, this is ``<W_0, W_0> / <W_0, W>`` over all weights that it serves.
        """
        self._check_programmed("compensate")
        if self._probe_reference is None:
            return
        self._set_gain(np.ones(self.shape[0], np.float32))
        now, then = self._read_probes(), self._probe_reference
        axis = None if self.spec.compensation == "global" and not self._gains_columns else 0
        power, overlap = np.square(then).sum(axis=axis), (now * then).sum(axis=axis)
        usable = overlap > 0.1 * power  # a column that has all but vanished is not worth amplifying its noise
        gain = np.where(usable, power / np.where(usable, overlap, 1.0), 1.0)
        self._set_gain(np.broadcast_to(gain, self.shape[0]).astype(np.float32))

    def _read_probes(self) -> F32:
        """Outputs for the known inputs, (probes, n_out), with ranges set for them: those calibrated on data could clip them."""
        inputs = self._polarity.drivable(self._probes.inputs())
        with self._own_ranges(), self._polarity.both_signs():
            scale = self.blocks[0].dac.full_scale(inputs)
            for block in self.blocks:
                block.calibrate(np.ascontiguousarray(inputs[:, block.rows]), scale)
            return self.forward(inputs)

    def read_lines(self, lines: npt.NDArray[np.int64]) -> F32:
        """Weights (k, n_out) at these input lines (k,), by one analogue read of each line alone, at full voltage.

        The converters' range is the current of one cross point at the edge of the window, unless it is a fixed current: what many
        lines make together would not resolve it.
        """
        x = np.zeros((len(lines), self.shape[1]), np.float32)
        here = np.arange(len(lines)), lines
        x[here] = 1.0
        x[here] = full = self.blocks[0].dac.full_scale(x)
        with self._own_ranges():
            for block in self.blocks:
                block.line_range(self._window)
            return self.forward(x) / full[:, None]

    @contextmanager
    def _own_ranges(self) -> Iterator[None]:
        """Leave the ranges of the forward converters as they are now, whatever is done to them in between."""
        kept = [block.adc.full_range for block in self.blocks]
        yield
        for block, full_range in zip(self.blocks, kept, strict=True):
            block.adc.full_range = full_range

    def _set_gain(self, gain: F32) -> None:
        self._gain = gain
        self._compensated = bool((gain != 1.0).any())

    def costs(self) -> Costs:
        """Energy, reads, pulses and conversions since the tile was made, those of the write scheme's own arrays included."""
        logs = [array.log for array in self.arrays]
        return sum((helper.costs() for helper in self.helpers().values()), self._counter.costs(self.spec.cost, logs))

    def helpers(self) -> dict[str, WriteTarget]:
        """Further matrices that the write scheme keeps on arrays of its own, by name; none before the first update."""
        return dict(self._arrays)

    def state(self, *, cells: bool = True) -> TileState:
        """Everything later operations depend on, for a checkpoint; cells: as `Inspectable.state`."""
        return {
            "blocks": [block.state(cells=cells) for block in self.blocks],
            "gain": self._gain.copy(),
            "probe_reference": self._probe_reference,
            "full_weight": self.full_weight,
            "conversions": [self._counter.dac, self._counter.adc],
            "polarity": self._polarity.state(),
            "writer": None if self._writer is None else self._writer.state(),
            "writers": self._writers,
            "programmed": self._programmed,
            "arrays": {name: arrays.state(cells=cells) for name, arrays in self._arrays.items()},
            "time": self.clock.now,
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned, on a tile of the same configuration, card and seed. Raises ValueError for anything else."""
        saved = taken(TileState, state, "tile")
        # A new writer takes the scale as it is, and may read the cells, which draws read noise: so it is made after the scale and
        # before the streams.
        self.full_weight = float(saved["full_weight"])
        self._writers = saved["writers"]
        self._programmed = saved.get("programmed", True)
        self._writer = None if saved["writer"] is None else self._make_writer()
        for block, held in zip(self.blocks, saved["blocks"], strict=True):
            block.restore(held)
        gain = np.empty_like(self._gain)
        put(gain, saved["gain"], "tile.gain")
        self._set_gain(gain)
        reference = saved["probe_reference"]
        self._probe_reference = None if reference is None else np.array(reference, np.float32)
        self._counter.dac, self._counter.adc = saved["conversions"]
        self._polarity.restore(saved["polarity"])
        if saved["writer"] is not None and self._writer is not None:
            self._writer.restore(saved["writer"])
        for name, arrays in saved["arrays"].items():
            self.new_arrays(name).restore(arrays)
        self.clock.restore(saved["time"])


def _fabric(cells: CellModel | Fabric, streams: Streams, clock: Clock | None) -> Fabric:
    """Where the arrays come from. Raises TypeError for anything but a compiled card or a fabric."""
    if isinstance(cells, CellModel):
        return EmulatedFabric(cells, streams, Clock() if clock is None else clock)
    if not isinstance(cells, Fabric):
        raise TypeError(
            f"Tile: needs a compiled card (load_card('pcm').compile()) or a fabric (got {type(cells).__name__}; a card is compiled by "
            ".compile())"
        )
    return cells


def _resolved(spec: TileSpec) -> TileSpec:
    """The configuration with what it leaves open decided by the rest of it."""
    if spec.mapping.sides != "auto":
        return spec
    writing = spec.writing
    sides = "two" if writing is not None and writing.moves_both_cells else "one"
    return spec.model_copy(update={"mapping": spec.mapping.model_copy(update={"sides": sides})})


def _strip(out: F32, target: slice) -> F32:
    """Room for the outputs of one column of blocks: `out` itself when they are all of it, so that kernels see one memory layout."""
    width = target.stop - target.start
    return out if width == out.shape[1] else np.empty((len(out), width), np.float32)


def _load_fault_map(path: DataFile | None) -> npt.NDArray[np.integer] | None:
    if path is None:
        return None
    found = read_archive(path)
    if "fault" not in found:
        raise UserError(f"{path}: needs an array named 'fault' (has {', '.join(found) or 'none'})")
    fault = found["fault"]
    if fault.ndim != 3 or not np.issubdtype(fault.dtype, np.integer):
        raise UserError(f"{path}: 'fault' must be integers (planes, rows, cols) (got {fault.dtype} {fault.shape})")
    if fault.size == 0 or fault.min() < 0 or fault.max() > Fault.DEAD:
        codes = f"{fault.min()} to {fault.max()}" if fault.size else "no cells"
        raise UserError(f"{path}: 'fault' must hold codes 0 to {int(Fault.DEAD)} (got {codes})")
    return fault


def _crop(fault: npt.NDArray[np.integer] | None, pair: bool, rows: int, cols: int) -> npt.NDArray[np.integer] | None:
    if fault is None:
        return None
    planes = 2 if pair else 1
    if fault.shape[0] != planes or fault.shape[1] < rows or fault.shape[2] < cols:
        raise UserError(f"fault map: an array of {(planes, rows, cols)} cells does not fit into the map {fault.shape}")
    return np.ascontiguousarray(fault[:planes, :rows, :cols])
