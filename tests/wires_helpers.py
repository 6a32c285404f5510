"""Arrays with wires for property tests: small, of any shape, with every kind of end and with 0 ohm."""

import numpy as np
from hypothesis import strategies as st

from analog_sim.wires import Topology, WiresError, simple

CELLS = st.sampled_from([0.0, 1e-9, 1e-6, 2.5e-5, 1e-4, 1e-3, 1e-2])
SEGMENTS = st.sampled_from([0.0, 0.01, 1.0, 7.0, 100.0])


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray, Topology]:
    rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    g = np.array(draw(st.lists(CELLS, min_size=rows * cols, max_size=rows * cols))).reshape(rows, cols)
    try:
        topology = simple(
            draw(SEGMENTS),
            draw(SEGMENTS),
            driver=draw(st.sampled_from([0.0, 100.0])),
            sense=draw(st.sampled_from([0.0, 30.0])),
            drive=draw(st.sampled_from(["left", "right", "both"])),
            sense_at=draw(st.sampled_from(["bottom", "top", "both"])),
            far_ends=draw(st.sampled_from(["open", "grounded"])),
            selector=draw(st.sampled_from([0.0, 1000.0])),
        )
    except WiresError:  # a grounded end without any resistance
        topology = simple(1.0, 1.0)
    return g, topology
