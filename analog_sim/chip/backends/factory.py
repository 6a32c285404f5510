"""A chip from the user's own Python: `--chip module:function`, where the function returns a fabric."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.lab.checked import CheckedFabric, told_in_one_line
from analog_sim.chip.lab.hardware import HardwareBackend
from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from analog_sim.config.yaml12 import Text
from analog_sim.random.streams import Streams


def _beside_the_yaml(value: object) -> object:
    """A file's path is relative to the YAML file that names it, as everywhere."""
    place, colon, name = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not place.endswith(".py") or not isinstance(value, Text) or value.folder is None:
        return value
    return f"{value.folder / Path(place).expanduser()}{colon}{name}"


class FactoryChip(HardwareBackend):
    """A function that makes the chip.

    Attributes:
        factory: "module:function" or "path/to/file.py:function"; called with (cell, streams, clock, folder), it returns a
            `analog_sim.chip.fabric.Fabric`.
        record: as of every real chip; for one that keeps its cells when the program ends.
    """

    kind: Literal["factory"] = "factory"
    factory: Annotated[str, BeforeValidator(_beside_the_yaml)]

    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> CheckedFabric:
        """Call the function. Raises UserError when it cannot be found, raises something itself, or returns no fabric."""
        return CheckedFabric(self.unchecked(cell, streams, clock, folder), f"chip.factory: {self._short}")

    def unchecked(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """What the function returns, for the conformance suite, which looks at it itself. Raises UserError."""
        make = self._function()
        with told_in_one_line(f"chip.factory: {self.factory}()"):
            made = make(cell, streams, clock, folder)
        if not isinstance(made, Fabric):
            raise UserError(
                f"chip.factory: {self.factory}() must return an analog_sim.chip.fabric.Fabric (got {type(made).__name__})"
            )
        return made

    @property
    def _short(self) -> str:
        """File and function without their folder."""
        place, colon, name = self.factory.rpartition(":")
        return f"{Path(place).name}{colon}{name}"

    def check(self) -> None:
        """Find the function; it is not called, because that may open a chip."""
        self._function()

    def _function(self) -> Callable[..., Any]:
        found = named_object(self.factory)
        if not callable(found):
            raise UserError(
                f"chip.factory: {self.factory} is a {type(found).__name__}, not a function of (cell, streams, clock, folder)"
            )
        return cast("Callable[..., Any]", found)


def named_object(name: str) -> Any:
    """What "module:object" or "file.py:object" names. Raises UserError."""
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise UserError(f"chip.factory: write module:function or file.py:function (got '{name}')")
    try:
        module = _file_module(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # the user's own file is executed, which may raise anything
        raise UserError(f"chip.factory: '{place}' cannot be imported ({_told(error)})") from error
    if attribute not in vars(module):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserError(f"chip.factory: '{place}' has no '{attribute}'{did_you_mean(attribute, public)}")
    return vars(module)[attribute]


def _told(error: Exception) -> str:
    """Kind and first line of an error."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".removesuffix(": ")


def _file_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"analog_hil_chip_{path.stem}", path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError("no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
