"""`analog-hil COMMAND ...`: which module runs a command, and the help that lists them all. It imports only the module that is asked for."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from learning.common.versions import version_of
from learning.experiments.commands._cli import main_guard

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "estimate": "accuracy of a trained network on emulated chips over time",
        "train": "train a network in place, on emulated chips or digital tiles",
        "sweep": "run a configuration at every point of its `sweep` and compare",
        "search": "the same grid of learning rates for every arm of a training",
        "fit": "fit a device card to measurements and validate it",
        "calibrate": "measure a chip: device card, fault map and twin",
        "characterise": "draw pulses, programming error, retention, noise of a card",
        "check": "check a YAML file of any kind; write the schema for editors",
        "report": "write the report of a run again from its results",
        "serve": "serve an emulated chip as an instrument (SCPI)",
        "init": "write a commented file to start from, with its schema",
        "cards": "list the device cards: technology, window, states, source",
        "runs": "list run folders with what they were, state and result",
        "compare": "two runs: changed keys, paired difference with its interval",
        "completion": "make bash, zsh or fish complete commands and names",
        "benchmark": "time the emulator beside PyTorch and NumPy",
        "warm": "compile all kernels once, after an installation or for a cluster",
        "docs": "open the documentation, which came with the program",
    }
)
"""Name -> what it does; the module of the same name here has its `main`."""

EXAMPLES = """\
examples, in any folder:
  analog-hil estimate digits_pcm --set chips=5  accuracy on PCM over a year
  analog-hil train digits_node_perturbation     learning on a chip, and its twin
  analog-hil init estimate                      a file of your own to start from
  analog-hil estimate --help                    the options of one command
"""


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command line of `analog-hil`; return the exit status, 2 for a command that is none."""
    first = arguments[0] if arguments else "--help"
    if first in ("-h", "--help"):
        print(_help())
        return 0
    if first in ("-V", "--version"):
        print(f"analog-hil {version_of('analog-hil')}")
        return 0
    if first not in COMMANDS:
        near = difflib.get_close_matches(first, COMMANDS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        print(f"analog-hil: no command '{first}'{hint} (allowed: {', '.join(COMMANDS)})", file=sys.stderr)
        return 2
    sys.argv = [f"analog-hil {first}", *arguments[1:]]  # what argparse calls the program, and a run's record
    return run_command(first)


def run_command(name: str) -> int:
    """Run one command with the options in sys.argv; return the exit status."""
    return main_guard(importlib.import_module(f"{__package__}.{name}").main)


def _help() -> str:
    lines = [f"  {name:13} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: analog-hil COMMAND [options]    (--version, --help)",
            "",
            "Networks that infer and learn on emulated analogue crossbars.",
            "",
            "commands:",
            *lines,
            "",
            EXAMPLES,
        ]
    ).rstrip()
