"""Which write scheme serves when none is asked for: what the cells can really do, never the exact write. It never writes."""

from analog_sim.cells.cell_model import CellModel
from analog_sim.writing.pulsed import RefreshSpec
from analog_sim.writing.scheme import WriteScheme
from analog_sim.writing.stochastic_pulse import StochasticPulse
from analog_sim.writing.write_verify import WriteVerify

ABRUPT = 0.25
"""A cell whose mean depression at mid state takes more than this share of the window is emptied, not depressed."""
REFRESH = 100
"""Updates between two refreshes of pairs that can only be potentiated."""


def scheme_for(cell: CellModel) -> WriteScheme:
    """The scheme for cells of a card when `tile.writing` is left out.

    - With a pulse response: stochastic pulses on both cells of a pair. Outer products are sent as coincidences of bit streams, dense
      changes as stochastically rounded counts.
    - With abrupt depression (PCM): the same, but pulses only ever potentiate, and pairs are programmed again every `REFRESH` updates.
    - Without a pulse response: the cells that deviate are programmed to a digital copy, with the card's programming error.
    """
    if cell.pulse is None:
        return WriteVerify()
    _, down = cell.pulse.mean_step(0.5)
    if -down > ABRUPT * cell.window:
        return StochasticPulse(pair="one_sided", refresh=RefreshSpec(every=REFRESH))
    return StochasticPulse()
