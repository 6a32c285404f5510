"""Sentences on what a run assumes: chosen defaults, what counts as ideal, assumed values. It never changes a setting.

The rule: what a user leaves out may be convenient or careful, never flattering in silence. Every sentence follows from the values in
force, whether they were asked for or left out; docs/defaults.md lists them beside the keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.cost import energy_statement
from analog_sim.tiles.tile import TileSpec
from devices.card import DeviceCard

SHOWN = 6
"""Assumed values named in a sentence; the report's table has all of them."""


def about_chip(chip: ChipBackend, *, training: bool = False) -> tuple[str, ...]:
    """What is not known of a sealed chip, and what the card is for one that may be real; nothing for an open one."""
    if chip.snapshots:
        return ()
    measured = "evaluations are" if training else "the images are"
    found = [
        f"chip: {chip.kind}: it shows nothing of its inside, so {measured} reads of the chip itself, which are counted, take time and "
        "disturb as any workload; energy in its cells is unknown."
    ]
    if chip.shared:
        found.append(
            f"chip: {chip.kind}: cells, wires and noise are the chip's own; the card is what the run believes of the cells, for their "
            "range of conductance and the size of a step."
        )
    return tuple(found)


def about_card(
    card: DeviceCard, *, pulses: bool = False, selected: bool = False, believed: bool = False
) -> tuple[str, ...]:
    """What a card leaves out, and what of it has no source.

    Args:
        card: the card. pulses: whether its cells are written by pulses in this run, so that wear and disturb by pulses matter.
        selected: whether wires decide what half-selected cells see.
        believed: the cells are a chip's own, so that nothing is ideal because the card leaves it out.
    """
    missing = [name for name, absent in _absent(card, pulses, selected).items() if absent]
    found = []
    if missing and not believed:
        found.append(f"card {card.name}: ideal, because the card does not state it: {', '.join(missing)}.")
    assumed = card.assumptions()
    if assumed:
        named = [f"{key} = {value}" for key, value in list(assumed.items())[:SHOWN]]
        more = f" and {len(assumed) - SHOWN} more, listed in the report" if len(assumed) > SHOWN else ""
        one = len(assumed) == 1
        found.append(
            f"card {card.name}: {len(assumed)} value{'' if one else 's'} assumed, without a source: {', '.join(named)}{more}."
        )
    return tuple(found)


def _absent(card: DeviceCard, pulses: bool, selected: bool) -> dict[str, bool]:
    cell = card.compile()
    by_volts = selected and cell.pulse is not None and cell.pulse.amplitude is not None
    nothing = {
        "programming error (programming)": cell.verify is None and not cell.program_std.any(),
        "read noise (read_noise)": cell.read.silent,
        "drift and relaxation (drift)": not cell.ages,
        "device-to-device spread (variation)": card.variation == type(card.variation)() and cell.windows is None,
        "faulty cells (faults)": cell.faults.none,
        "read disturb (read_disturb)": not cell.read_disturb,
        "non-linear I-V curve (iv_alpha)": not cell.iv_alpha,
    }
    wear = {
        "wear by pulses (endurance)": cell.endurance == float("inf"),
        "disturb of unselected cells (half_select)": not (cell.half_select or by_volts),
    }
    return nothing | wear if pulses else nothing


def about_circuit(tile: TileSpec, *, bias: str, what: str = "", own_wires: bool = False) -> str:
    """What of the circuit around the cells is ideal.

    Args:
        tile: its specification. bias: where biases are, "digital", "chip" or "none". what: names the tile when a run has several.
        own_wires: the arrays are a chip's own, and have its wires.
    """
    ideal = []
    if tile.dac.bits is None:
        ideal.append("resolution of the DACs (tile.dac.bits)")
    if tile.adc.bits is None:
        ideal.append("resolution and range of the ADCs (tile.adc.bits)")
    if not tile.adc.noise:
        ideal.append("noise of the ADCs (tile.adc.noise)")
    if not (tile.dac.errors or tile.adc.errors):
        ideal.append("mismatch of the converters (gain_spread, offset_spread, inl)")
    if not own_wires and (tile.wires is None or tile.wires.ideal):
        ideal.append("wires (no IR drop)")
    if bias == "digital":
        ideal.append("biases (added digitally)")
    return f"{what}ideal in the circuit, because nothing else was asked for: {', '.join(ideal)}."


def about_wires(tile: TileSpec, cell: CellModel, *, pulses: bool = False) -> tuple[str, ...]:
    """Which wires a run sees, and what of it does not see them; nothing for ideal ones.

    Args:
        tile: its specification. cell: the compiled card. pulses: whether cells are written by pulses in this run.
    """
    wires = tile.wires
    if wires is None or wires.ideal:
        return ()
    ohms = {
        "per segment of a word line": wires.word_line,
        "of a bit line": wires.bit_line,
        "driver": wires.driver,
        "sense amplifier": wires.sense,
        "selector": wires.selector,
    }
    values = ", ".join(f"{name} {ohm:g} ohm" for name, ohm in ohms.items())
    found = [
        f"reads see the wires of the arrays (tile.wires: {values}); programming and reads of single cells do not, "
        "and the energy of reads is that of ideal wires, an upper bound."
    ]
    if not cell.read.silent:
        found.append(
            f"card {cell.name}: read noise reaches every output through the wires with its own variance, drawn for each output by itself; "
            "that noise of outputs of one array is slightly correlated through the wires is left out."
        )
    if pulses and (cell.pulse is None or cell.pulse.amplitude is None):
        found.append(
            f"card {cell.name}: pulses reach every cell with their full voltage, whatever the wires take of it (IR drop), and "
            "half-selected cells see no drop either, because the card does not state how a step depends on the voltage (pulse.amplitude): "
            "learning on the chip looks better than it is."
        )
    elif pulses:
        found.append(
            f"card {cell.name}: a pulse moves a cell by the voltage that reaches it through the wires, lines that fire together load each "
            "other, and half-selected cells see their share (pulse.amplitude)."
        )
    return tuple(found)


def about_energy(card: DeviceCard, tile: TileSpec, *, training: bool = False) -> str:
    """What the energies of a run contain, with the assumed values that go into them."""
    cell = card.compile()
    text = energy_statement(cell.cost, tile.cost)
    assumed = [key for key in card.assumed if key.startswith("cost.")]
    if assumed:
        text += f" Assumed: {', '.join(assumed)}."
    if training:
        text += " Evaluations are not counted."
    return f"card {card.name}: {text}"


def about_drift(cell: CellModel, tile: TileSpec) -> tuple[str, ...]:
    """How the drift of cells that are programmed once is compensated; nothing for cells that do not drift. tile: settled."""
    if not cell.drifts:
        return ()
    if tile.compensation == "none":
        return (f"card {cell.name} drifts and is not compensated (tile.compensation: none).",)
    return (
        f"card {cell.name}: drift is compensated by a digital gain, tile.compensation: {tile.compensation} (global is the default for "
        "a card that drifts; none goes without). It is measured anew at every time; its reads are not in the energy per inference.",
    )


def assumed_values(cards: Iterable[DeviceCard]) -> dict[str, dict[str, str]]:
    """Card -> dotted key -> value, of every value without a source; for the table of a report."""
    found = {card.name: card.assumptions() for card in cards}
    return {name: values for name, values in found.items() if values}
