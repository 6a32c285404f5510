"""The example files that ship with the package, by name. It never reads one."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

_SUFFIXES = (".yaml", ".yml")


def examples() -> Path:
    """Folder of the examples: in an installed wheel beside this package, in a checkout `configs/`."""
    installed = Path(__file__).parents[1] / "examples"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "configs"


def example_names() -> list[str]:
    """Names of all examples, `digits_pcm` or `paper/mnist_np`."""
    folder = examples()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def config_file(text: str) -> Path:
    """A file of the user, or an example by its name: the type of the argument CONFIG.

    Raises:
        ArgumentTypeError: a name without a suffix that is neither a file here nor an example.
    """
    path = Path(text)
    if path.suffix in _SUFFIXES or path.expanduser().is_file():
        return path
    names = example_names()
    if text in names:
        return examples() / f"{text}.yaml"
    near = difflib.get_close_matches(text, names, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise argparse.ArgumentTypeError(
        f"no file and no example of this name{hint} (got {text!r}, allowed: a YAML file, {', '.join(names)})"
    )
