"""What a rule or a decorrelation method needs of the hardware, and the refusal when the hardware cannot give it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from analog_sim.chip.crossbar import ChipInfo
from analog_sim.config import StrictModel, UserError
from analog_sim.writing.scheme import WriteScheme


class Periphery(StrictModel):
    """What the electronics around the arrays can do; a purely emulated system can do all but `weight_modulation`.

    Attributes:
        transposed_read: columns can be driven and rows sensed, for errors that go back and for R^T y of decorrelating matrices.
        derivative: the slope f'(a) of every activation is known.
        noise_injection: a chosen perturbation can be added to the pre-activations.
        second_pass: the same input can be presented again before the weights change.
        weight_modulation: every weight can be perturbed for a moment without writing its cells (a volatile element in series).
    """

    transposed_read: bool = True
    derivative: bool = True
    noise_injection: bool = True
    second_pass: bool = True
    weight_modulation: bool = False


@dataclass(frozen=True)
class Needs:
    """What must be there: of every tile, and of the digital periphery.

    Attributes:
        transposed_read: rows can be read out while columns are driven.
        transposed_matrices: the same of decorrelating matrices only, through which errors go back on their way.
        writable: cells answer to pulses or can be programmed.
        immediate_write: a written change reaches the cells at once and in its size, because it is measured and taken back.
        derivative, noise_injection, second_pass, weight_modulation: as in `Periphery`.
    """

    transposed_read: bool = False
    transposed_matrices: bool = False
    writable: bool = False
    immediate_write: bool = False
    derivative: bool = False
    noise_injection: bool = False
    second_pass: bool = False
    weight_modulation: bool = False


def check_writing(who: str, needs: Needs, scheme: WriteScheme) -> None:
    """Raise UserError when the write scheme cannot serve `who`."""
    if needs.immediate_write and not scheme.immediate:
        raise UserError(
            f"{who}: perturbs weights by writing them, but tile.writing: {scheme.kind} does not write a change at once in its size; "
            "choose another scheme, or perturb: overlay"
        )


_MEANING = {
    "transposed_read": "transposed reads",
    "derivative": "the slope of the activations",
    "noise_injection": "noise injection into the pre-activations",
    "second_pass": "a second pass of the same input",
    "weight_modulation": "a momentary modulation of the weights (or perturb: write)",
}


def check_tile(who: str, needs: Needs, where: str, chip: ChipInfo) -> None:
    """Raise UserError when a tile cannot serve `who` (a rule or method by name); `where` names the tile."""
    if needs.transposed_read and not chip.transposed_read:
        raise UserError(f"{who}: needs transposed reads, which the chip of {where} cannot do (transposed_read: false)")
    if needs.writable and not (chip.pulsed or chip.programmable):
        raise UserError(f"{who}: must write cells, but those of {where} can be neither pulsed nor programmed")


def check_periphery(who: str, needs: Needs, periphery: Periphery) -> None:
    """Raise UserError when the electronics around the arrays cannot serve `who`."""
    wanted = {field.name for field in fields(needs) if getattr(needs, field.name)}
    for name, meaning in _MEANING.items():
        if name in wanted and not getattr(periphery, name):
            raise UserError(f"{who}: needs {meaning}, which the hardware cannot give (periphery.{name}: false)")
