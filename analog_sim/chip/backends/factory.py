"""A chip from the user's own Python: `--chip module:function`, where the function returns a fabric."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Literal

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.config import UserError
from analog_sim.random.streams import Streams


class Factory(ChipBackend):
    """A function that makes the chip.

    Attributes:
        factory: "module:function" or "path/to/file.py:function"; called with (cell, streams, clock, folder), it returns a
            `analog_sim.chip.fabric.Fabric`.
    """

    kind: Literal["factory"] = "factory"
    factory: str

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Call the function. Raises UserError when it cannot be found."""
        made: Fabric = named_object(self.factory)(cell, streams, clock, folder)
        return made


def named_object(name: str) -> Any:
    """What "module:object" or "file.py:object" names. Raises UserError."""
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise UserError(f"chip.factory: write module:function or file.py:function (got '{name}')")
    try:
        module = _file_module(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (ImportError, OSError, SyntaxError) as error:
        raise UserError(f"chip.factory: '{place}' cannot be imported ({error})") from error
    if attribute not in vars(module):
        raise UserError(f"chip.factory: '{place}' has no '{attribute}'")
    return vars(module)[attribute]


def _file_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"analog_hil_chip_{path.stem}", path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise OSError("no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
