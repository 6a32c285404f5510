"""Energy, latency and wear of what a chip did, added up from the operation logs and the converters' counts."""

from dataclasses import dataclass, fields
from typing import Annotated

from analog_sim.cells.cell_model import CostModel
from analog_sim.chip.operation_log import OperationLog
from analog_sim.config import Q, StrictModel

Energy = Annotated[float, Q("energy", "J", ge=0.0)]
Time = Annotated[float, Q("time", "s", ge=0.0, le=1e4)]


class ConverterCost(StrictModel):
    """Price of one conversion, in the circuits around the array.

    Attributes:
        e_dac, e_adc: energy of one conversion of one line.
        t_adc: time that the converters add to every read (all lines in parallel).
    """

    e_dac: Energy = 0.0
    e_adc: Energy = 0.0
    t_adc: Time = 0.0


@dataclass(frozen=True)
class Costs:
    """What a tile has spent since it was made; add two with +.

    Attributes:
        reads: vectors multiplied, both directions and all arrays. pulses: pulses sent. programmed: cells written to a target.
        dac_conversions, adc_conversions: conversions of single lines.
        cell_joules: energy in the cells. converter_joules: energy of the conversions.
    """

    reads: int = 0
    pulses: int = 0
    programmed: int = 0
    dac_conversions: int = 0
    adc_conversions: int = 0
    cell_joules: float = 0.0
    converter_joules: float = 0.0

    @property
    def joules(self) -> float:
        """All energy."""
        return self.cell_joules + self.converter_joules

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def energy_statement(cell: CostModel, converters: ConverterCost) -> str:
    """What the joules of `Costs` contain, what counts as nothing because no price is known, and what is never in them."""
    known = {
        "programming": cell.e_program,
        "pulses": cell.e_pulse,
        "DAC conversions": converters.e_dac,
        "ADC conversions": converters.e_adc,
    }
    keys = dict(zip(known, ("cost.e_program", "cost.e_pulse", "tile.cost.e_dac", "tile.cost.e_adc"), strict=True))
    priced = ["reads of the cells (g V^2 t_read)", *(name for name, price in known.items() if price)]
    free = [f"{name} ({keys[name]})" for name, price in known.items() if not price]
    text = f"energy contains {', '.join(priced)}."
    if free:
        text += f" Zero, because no price is known: {', '.join(free)}."
    if not converters.t_adc:
        text += " Time of the conversions is zero as well (tile.cost.t_adc)."
    return text + " Never contained: wires and their drivers, digital arithmetic, control, leakage."


@dataclass
class ConversionCounter:
    """Conversions so far."""

    dac: int = 0
    adc: int = 0

    def costs(self, price: ConverterCost, logs: list[OperationLog]) -> Costs:
        """Join the counts with the logs of the arrays."""
        return Costs(
            reads=sum(log.units("mvm") + log.units("mvm_transposed") for log in logs),
            pulses=sum(log.units("pulse") for log in logs),
            programmed=sum(log.units("program") for log in logs),
            dac_conversions=self.dac,
            adc_conversions=self.adc,
            cell_joules=sum(total.joules for log in logs for total in log.totals.values()),
            converter_joules=self.dac * price.e_dac + self.adc * price.e_adc,
        )
