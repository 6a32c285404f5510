"""Voltages and currents of every cell of a crossbar: what a read senses is their sum, in every layout of a pair."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from analog_sim.reads.wired_maps import cell_maps
from analog_sim.wires import WiresError, WiresSpec

pytestmark = pytest.mark.jit


@pytest.mark.parametrize("place", ["separate", "columns", "rows"])
@pytest.mark.parametrize("kind", ["ohmic", "selector", "curved"])
def test_currents_of_the_cells_add_up_to_the_read(place: str, kind: str) -> None:
    spec = WiresSpec(
        word_line=5.0, bit_line=7.0, driver=50.0, pair=place, selector=2000.0 if kind == "selector" else 0.0
    )
    cell = CellModel("cells", 1e-6, 100e-6, iv_alpha=6.0 if kind == "curved" else 0.0)
    array = EmulatedCrossbar(cell, 12, 9, pair=True, streams=Streams(2), wires=spec)
    array.program(np.random.default_rng(2).uniform(1e-6, 1e-4, (2, 12, 9)).astype(np.float32))
    v, g = np.random.default_rng(3).uniform(0.0, 0.2, 12), array.conductance_now()
    found = cell_maps(spec, g, v, cell.iv_alpha)
    sensed = (found.amperes[0] + (found.amperes[1] if place == "rows" else -found.amperes[1])).sum(0)
    np.testing.assert_allclose(
        sensed, array.mvm(v[None].astype(np.float32))[0], atol=2e-6 * np.abs(found.amperes).sum(1).max()
    )
    law = g * np.sinh(6.0 * found.volts) / 6.0 if kind == "curved" else g * found.volts
    np.testing.assert_allclose(found.amperes, law, rtol=1e-6)
    assert (np.abs(found.volts) < v.max()).all()
    assert found.residual < 1e-6


def test_refusals_and_ideal_wires() -> None:
    g = np.full((1, 3, 2), 1e-5)
    with pytest.raises(WiresError, match="allowed: "):
        cell_maps(WiresSpec(word_line=1.0, bit_line=1.0), g, np.ones(4))
    np.testing.assert_allclose(cell_maps(WiresSpec(word_line=0.0, bit_line=0.0), g, np.ones(3)).volts, 1.0)
