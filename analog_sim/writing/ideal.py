"""The ideal write: the weight changes by exactly what was asked, at no cost. No chip can do this; every chip is compared with it."""

from typing import ClassVar, Literal

import numpy as np

from analog_sim.random.streams import Streams
from analog_sim.writing.proposal import OuterProduct, Proposal, for_cells
from analog_sim.writing.scheme import Writer, WriteScheme, WriteTarget


class Ideal(WriteScheme):
    """``W <- W - rate * gradient``, clipped to the window and nothing else."""

    kind: Literal["ideal"] = "ideal"
    needs: ClassVar[frozenset[str]] = frozenset({"inspectable"})

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return IdealWriter(target)


class IdealWriter(Writer):
    """Adds the exact change to the net conductance of every block."""

    def __init__(self, target: WriteTarget) -> None:
        self._target = target

    def update(self, proposal: Proposal, rate: float) -> None:
        """Write the change block by block."""
        target = self._target
        proposal = for_cells(proposal, target)
        per_gradient = np.float32(-rate * target.scale)
        two_sided = target.mapping.sides == "two"
        for block in target.blocks:
            if isinstance(proposal, OuterProduct):
                change = proposal.x[:, block.rows].T @ (per_gradient * proposal.d[:, block.cols])
            else:
                change = per_gradient * proposal.dw[block.cols, block.rows].T
            if block.reference:
                change = np.pad(change, ((0, 0), (0, 1)))
            inside = block.crossbar.inside
            assert inside is not None  # `needs` was checked when the writer was made
            inside.add_ideal(np.ascontiguousarray(change), two_sided=two_sided)
