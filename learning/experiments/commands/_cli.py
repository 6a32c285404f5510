"""What all commands share: one parser, one way to end on a user's mistake. Never imports anything heavy."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from learning.experiments.runs.examples import config_file


class HelpText(argparse.RawDescriptionHelpFormatter):
    """Help that fits the terminal: sentences wrapped, a long command of an example broken as a shell takes it, with a backslash."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        found: list[str] = []
        for line in text.splitlines():
            command = line.startswith(" ")
            parts = textwrap.wrap(
                line,
                width - 2 * command,
                subsequent_indent="      " * command,
                break_long_words=False,
                break_on_hyphens=False,
            )
            found.append((" \\\n" if command else "\n").join(parts))
        return "\n".join(found)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a quota, a limit of a file's size: wherever it shows, it is one line."""


def parser(description: str, example: str) -> argparse.ArgumentParser:
    """Return the shared parser: CONFIG and the options every run understands; a script adds its own."""
    shared = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    shared.add_argument(
        "config", metavar="CONFIG", type=config_file, help="YAML file of the experiment, or the name of an example"
    )
    add_set(shared)
    shared.add_argument(
        "--jobs",
        metavar="N",
        type=_positive,
        default=None,
        help="worker processes (default: as configured, else one per core)",
    )
    shared.add_argument("--out", metavar="DIR", type=Path, default=None, help="run directory (default: under runs/)")
    shared.add_argument("--resume", action="store_true", help="go on with the interrupted run in --out")
    shared.add_argument("--seed", metavar="N", type=_not_negative, default=None, help="seed, instead of the file's")
    shared.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, and stop")
    shared.add_argument(
        "--chip",
        metavar="CHIP",
        default=None,
        help="what is driven, instead of the file's `chip`: emulated, sealed, fixed_arrays, scpi://HOST:PORT, twin:DIR, "
        "replay:RUN_DIR, daffodil:simulated, daffodil:physical, or module:factory",
    )
    return shared


def chip_override(chip: str | None) -> list[str]:
    """What --chip changes in the configuration. Raises UserError for a text that is none of its forms."""
    import json

    from analog_sim.config import UserError

    if chip is None:
        return []
    kind, colon, rest = chip.partition(":")
    if chip.lstrip("-").isdecimal():
        raise UserError(
            f"--chip: names what is driven (got {chip}); one chip of an estimate is run by --only-chip {chip}"
        )
    if not colon:
        return [f"chip={json.dumps({'kind': kind})}"]
    if kind == "scpi":
        part = {"kind": "scpi", "address": chip}
    elif kind == "daffodil":
        part = {"kind": "daffodil", "board": rest}
    elif kind == "twin":
        part = {"kind": "twin", "folder": rest}
    elif kind == "replay":
        part = {"kind": "replay", "record": rest}
    else:
        part = {"kind": "factory", "factory": chip}
    return [f"chip={json.dumps(part)}"]


def add_set(target: argparse.ArgumentParser) -> None:
    """Add the repeatable option --set PATH=VALUE (attribute `overrides`)."""
    target.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="change one key, for example --set tile.adc.bits=6; repeatable",
    )


RUNS: Mapping[str, str] = MappingProxyType(
    {
        "estimate/1": "analog-hil estimate",
        "train/1": "analog-hil train",
        "serve/1": "analog-hil serve",
        "calibrate/1": "analog-hil calibrate",
        "card/1": "analog-hil characterise",
        "measurements/1": "analog-hil fit",
    }
)
"""Value of a file's key `schema` -> the script that runs such a file."""


def require_schema(path: Path | str, wanted: str, overrides: Sequence[str] = ()) -> None:
    """Check that a file is not meant for another script: one line, instead of one for every key that the other one knows.

    A file without a `schema` passes; its keys are checked like all others. Raises ConfigError.
    """
    from analog_sim.config import ConfigError, Problem, find_key

    name, where = find_key(path, "schema", overrides=overrides)
    if isinstance(name, str) and name in RUNS and name != wanted:
        raise ConfigError(
            [Problem(where, "schema", f"'{name}' is for {RUNS[name]} (got '{name}', allowed here: '{wanted}')")]
        )


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a cluster or a service manager sends before it kills. It ends a run as Ctrl-C does, workers included."""


def main_guard(function: Callable[[Sequence[str] | None], int | None], arguments: Sequence[str] | None = None) -> int:
    """Run a script's main and return its exit status.

    2 and one line per mistake for a UserError; 130 for Ctrl-C and 143 for SIGTERM, at any moment. Before anything of ours is imported,
    another package of the name of one of ours ends with one line and status 2. And analog_sim is imported before torch, because it
    says how long idle threads spin; nothing can change that once a thread pool exists.
    """
    stop = _Stop()
    both = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, stop) for n in both if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        from learning.experiments.monte_carlo.worker import print_anything, warn_in_lines

        print_anything()
        with warnings.catch_warnings():
            warn_in_lines()
            return function(arguments) or 0
    except KeyboardInterrupt as interruption:
        print(_interrupted(interruption), file=sys.stderr)
        return 143 if isinstance(interruption, Terminated) else 130
    except Exception as error:
        # Imported only now: `--help` must not wait for the libraries behind the configuration.
        from analog_sim.config.errors import UserError

        if stop.made(error):
            print("interrupted", file=sys.stderr)
            return 128 + stop.number
        if isinstance(error, BrokenPipeError):
            return _reader_left()
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            where = f"{error.filename}: " if error.filename else ""
            print(f"{where}{error.strerror}; make room and start again (a run goes on with --resume)", file=sys.stderr)
            return 2
        if not isinstance(error, UserError):
            raise
        print(error, file=sys.stderr)
        return 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(interruption: KeyboardInterrupt) -> str:
    """What to say of an interruption: with the command that goes on, where a run was at work."""
    from learning.experiments.runs.run_folder import INTERRUPTED

    notes = [note for note in getattr(interruption, "__notes__", ()) if note.startswith(INTERRUPTED)]
    if not notes:
        return "interrupted"
    return f"interrupted; what is finished is kept. To go on:\n  {resume_command(sys.argv, notes[-1].removeprefix(INTERRUPTED))}"


def resume_command(command: Sequence[str], folder: str) -> str:
    """The command line that goes on with the run in `folder`, ready for the shell.

    Args:
        command: the one that was interrupted, program first; its own --out and --resume are left out.
    """
    kept: list[str] = []
    skip = False
    for word in command[1:]:
        if skip or word == "--resume" or word.startswith("--out="):
            skip = False
        elif word == "--out":
            skip = True
        else:
            kept.append(word)
    program = command[0] if command[0].startswith("analog-hil ") else f"python {shlex.quote(command[0])}"
    return f"{program} {shlex.join([*kept, '--out', folder, '--resume'])}"


def _reader_left() -> int:
    """End in silence: whoever read our output (`| head`) has gone. Python must not try to write what is left at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


class _Stop:
    """What Ctrl-C and SIGTERM call.

    Attributes:
        number: of the signal that came, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, number: int, frame: object) -> None:
        self.number = number
        if number == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends at once
            raise Terminated
        raise KeyboardInterrupt

    def made(self, error: Exception) -> bool:
        """Whether an error is only what a compiled module made of the interruption of its import."""
        return bool(self.number) and isinstance(error, ImportError | SystemError | RuntimeError)


def _positive(text: str) -> int:
    return _whole(text, 1)


def _not_negative(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number >= {least} (got {text!r})")
    return int(text)
