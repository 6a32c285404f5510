"""Old names of public modules, for scripts written before they moved into rooms: `from analog_sim.tile import Tile` goes on working.

An old name is the new module itself, not a copy. Never a name of something inside a room.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType

MOVED = MappingProxyType(
    {
        "analog_sim.cell": "analog_sim.cells.cell_model",
        "analog_sim.digital": "analog_sim.tiles.digital",
        "analog_sim.emulated": "analog_sim.chip.emulated",
        "analog_sim.rng": "analog_sim.random.streams",
        "analog_sim.tile": "analog_sim.tiles.tile",
        "learning.datasets": "learning.data.datasets",
        "learning.torch_bridge.digital_training": "learning.torch_bridge.digital.digital_training",
        "learning.torch_bridge.load_model": "learning.torch_bridge.user_models.load_model",
        "learning.torch_bridge.torch_network": "learning.torch_bridge.digital.torch_network",
    }
)
"""Old name -> new name."""


class _Alias(Loader):
    """Puts the new module in the place of the old name."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make a module that is replaced at once."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace it."""
        new = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = importlib.import_module(new)


class _Finder(MetaPathFinder):
    """Finds old names; asked last, so a real module of the name comes first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an old name, None for any other."""
        return ModuleSpec(fullname, _Alias()) if fullname in MOVED else None


def install() -> None:
    """Make the old names importable; done once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
