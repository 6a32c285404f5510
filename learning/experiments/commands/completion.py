"""Completion for bash, zsh and fish: the script to source, and the words that it asks for. It imports nothing heavy."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from learning.experiments.commands._cli import HelpText

BASH = """\
_analog_hil() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$(analog-hil completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _analog_hil analog-hil
"""
ZSH = """\
#compdef analog-hil
_analog_hil() {
    local -a found
    found=("${(@f)$(analog-hil completion words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -a found
    _files
}
compdef _analog_hil analog-hil
"""
FISH = """\
complete -c analog-hil -a '(analog-hil completion words (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
"""
SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": BASH, "zsh": ZSH, "fish": FISH})
HOW: Mapping[str, str] = MappingProxyType(
    {
        "bash": 'eval "$(analog-hil completion bash)"      in ~/.bashrc',
        "zsh": 'eval "$(analog-hil completion zsh)"       in ~/.zshrc, after compinit',
        "fish": "analog-hil completion fish | source       in ~/.config/fish/config.fish",
    }
)
EXAMPLES = ("estimate", "train", "sweep", "search", "fit", "check", "serve")
"""Commands that take an example by its name."""
CARDS = ("cards", "characterise")
RUNS = ("report", "compare")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the script of a shell, or the words that come next; return the exit status."""
    given = list(arguments) if arguments is not None else sys.argv[1:]
    if given[:1] == ["words"]:  # not through argparse: what follows are another command's options
        print("\n".join(words(given[1:])))
        return 0
    parser = argparse.ArgumentParser(
        description="Print the script that makes a shell complete commands, options, examples, cards and runs.",
        epilog="examples, one line for the shell's own file:\n" + "\n".join(f"  {line}" for line in HOW.values()),
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="which shell")
    print(SCRIPTS[parser.parse_args(given).shell], end="")
    return 0


def words(line: Sequence[str]) -> list[str]:
    """What may stand in the place of the last word of `line` (the words after `analog-hil`)."""
    from learning.experiments.commands.dispatch import COMMANDS

    if len(line) < 2:
        found = [*COMMANDS, "--help", "--version"]
    elif line[0] not in COMMANDS:
        found = []
    elif line[-1].startswith("-"):
        found = options_of(line[0])
    else:
        found = names_for(line[0], line[-2])
    last = line[-1] if line else ""
    return sorted(word for word in found if word.startswith(last))


def options_of(command: str) -> list[str]:
    """Long options of a command, as its help lists them."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(f"{__package__}.{command}").main(["--help"])
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text.getvalue())))


def names_for(command: str, before: str) -> list[str]:
    """Names that a command takes: examples, cards, runs, kinds of files; before: the word in front, which may be an option."""
    from learning.experiments.runs.examples import example_names

    if before in ("--out", "--set", "--schema", "--checkpoint", "--model"):
        return []
    if command in EXAMPLES:
        return example_names()
    if command in CARDS:
        return sorted(path.stem for path in (Path(__file__).parents[3] / "devices" / "cards").glob("*.yaml"))
    if command in RUNS:
        return sorted(str(path.parent) for path in Path("runs").glob("*/config.yaml"))
    if command == "init":
        from learning.experiments.commands.init import KINDS

        return list(KINDS)
    return list(SCRIPTS) if command == "completion" else []
