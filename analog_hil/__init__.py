"""The door to analog-hil: start here from Python (`import analog_hil as ah`) and from the shell (`analog-hil`). No logic of its own.

Names are imported when they are first used, so that the import itself is quick.

    ah.card        a device card by name, path or object, with changes
    ah.chip        an emulated chip of a card: cells, one clock, tiles
    ah.tile        a weight matrix on an emulated chip of its own
    ah.convert     a torch module on an emulated chip
    ah.network     layers that learn in place
    ah.estimate    accuracy on emulated chips over time
    ah.train       training in place, beside the ideal digital twin
    ah.sweep       an estimate at every point of a product of settings
    ah.fit         a device card from measurements
    ah.load_run    the results of an earlier run
    ah.datasets    the published data sets
"""

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learning.data import datasets
    from learning.experiments.interactive.hardware import card, chip, tile
    from learning.experiments.interactive.networks import convert, network
    from learning.experiments.interactive.runs import estimate, fit, load_run, sweep, train

__analog_hil__ = True

with contextlib.suppress(ImportError):  # whoever asks for a name is told what is wrong
    importlib.import_module("analog_sim")  # settles how long idle threads spin, before NumPy and torch have any

__all__ = ["card", "chip", "convert", "datasets", "estimate", "fit", "load_run", "network", "sweep", "tile", "train"]

_ROOM = "learning.experiments.interactive"
_WHERE = {
    "card": f"{_ROOM}.hardware",
    "chip": f"{_ROOM}.hardware",
    "tile": f"{_ROOM}.hardware",
    "convert": f"{_ROOM}.networks",
    "network": f"{_ROOM}.networks",
    "estimate": f"{_ROOM}.runs",
    "fit": f"{_ROOM}.runs",
    "load_run": f"{_ROOM}.runs",
    "sweep": f"{_ROOM}.runs",
    "train": f"{_ROOM}.runs",
    "datasets": "learning.data",
}
"""Name -> the module that has it."""


def __getattr__(name: str) -> Any:
    """A name of the door, imported when it is first used. Raises ShadowedPackageError where a folder of the user's hides a package."""
    if name not in _WHERE:
        raise AttributeError(f"module 'analog_hil' has no attribute '{name}'; it has {', '.join(__all__)}")
    from analog_hil._start import check

    check()
    importlib.import_module(f"{_WHERE[name]}.{name}" if name == "datasets" else _WHERE[name])
    found = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
