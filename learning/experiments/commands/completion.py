"""Completion for bash, zsh and fish: the script to source, and the words that it asks for. It imports nothing heavy."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from learning.experiments.commands._cli import HelpText

BASH = """\
_analog_hil() {
    local IFS=$' \\t\\n' skip= last given
    read -ra given <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && given+=("")
    last="${given[${#given[@]}-1]}"
    [[ $last == *[=:]* ]] && skip="${last%"${last##*[=:]}"}"  # readline completes only what stands behind = and :
    IFS=$'\\n'
    COMPREPLY=($(analog-hil completion words "${given[@]:1}" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$skip"}")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}
complete -o default -F _analog_hil analog-hil
"""
ZSH = """\
#compdef analog-hil
_analog_hil() {
    local -a found
    found=(${(f)"$(analog-hil completion words "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -- ${found:#*=}
    compadd -S '' -- ${(M)found:#*=}
    if (( CURRENT > 2 )) && [[ $words[CURRENT] != -* ]]; then _files; fi
}
compdef _analog_hil analog-hil
"""
FISH = """\
complete -c analog-hil -a '(analog-hil completion words (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
complete -c analog-hil -n __fish_use_subcommand -f
"""
SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": BASH, "zsh": ZSH, "fish": FISH})
HOW: Mapping[str, str] = MappingProxyType(
    {
        "bash": 'eval "$(analog-hil completion bash)"      in ~/.bashrc',
        "zsh": 'eval "$(analog-hil completion zsh)"       in ~/.zshrc, after compinit',
        "fish": "analog-hil completion fish | source       in ~/.config/fish/config.fish",
    }
)
SCHEMAS: Mapping[str, str] = MappingProxyType(
    {
        "estimate": "estimate/",
        "train": "train/",
        "search": "train/",
        "fit": "measurements/",
        "serve": "serve/",
        "calibrate": "calibrate/",
    }
)
"""Command -> how the key `schema` of its files begins; `check` takes them all, `sweep` those with the key `sweep`."""
CHIPS = ("emulated", "sealed", "fixed_arrays", "daffodil:simulated", "daffodil:physical", "scpi://", "twin:", "replay:")


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

    last = line[-1] if line else ""
    if len(line) < 2:
        found = [*COMMANDS, "--help", "--version"]
    else:
        found = next_words(line) if line[0] in COMMANDS else []
    return sorted(word for word in found if word.startswith(last))


def next_words(line: Sequence[str]) -> list[str]:
    """The values of an option in front, the options, or the names that the next argument takes."""
    options = {name: action for action in actions_of(line[0]) for name in action.option_strings}
    arguments = [action for action in actions_of(line[0]) if not action.option_strings]
    before = options.get(line[-2]) if len(line) > 2 else None
    if before is not None and before.nargs != 0:
        return values(before, line)
    long = [name for name in options if name.startswith("--")]
    if line[-1].startswith("-"):
        return long
    valued = [name for name, action in options.items() if action.nargs != 0]
    given = sum(
        not word.startswith("-") and line[place - 1] not in valued for place, word in enumerate(line) if place > 0
    )
    given -= not line[-1].startswith("-")  # the word that is being written
    if arguments and arguments[-1].nargs == "+":
        given = min(given, len(arguments) - 1)
    return values(arguments[given], line) if given < len(arguments) else long


def actions_of(command: str) -> list[argparse.Action]:
    """The arguments of a command: its main is begun, and left where it would read the command line."""

    class Made(Exception):
        def __init__(self, parser: argparse.ArgumentParser) -> None:
            self.parser = parser

    def leave(parser: argparse.ArgumentParser, *_: object) -> None:
        raise Made(parser)

    module = importlib.import_module(f"{__package__}.{command}")
    before = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = leave  # type: ignore[method-assign, assignment]
    try:
        module.main([])
    except Made as made:
        return list(made.parser._actions)
    finally:
        argparse.ArgumentParser.parse_args = before  # type: ignore[method-assign]
    return []


def values(action: argparse.Action, line: Sequence[str]) -> list[str]:
    """What an argument may be, where that is a list: its choices, or names of examples, cards and runs."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    match action.dest:
        case "config":
            return examples_for(line[0])
        case "card" | "against":
            return cards()
        case "begin":
            return (
                cards() if "card" in line else examples_for(next((word for word in line if word in SCHEMAS), "check"))
            )
        case "run" | "first" | "second":
            return sorted(str(path.parent) for path in Path("runs").glob("*/config.yaml"))
        case "overrides":
            return [f"device={card}" for card in cards()] if line[-1].startswith("device=") else ["device="]
        case "chip":
            return list(CHIPS)
    return []


def cards() -> list[str]:
    """Names of the packaged device cards."""
    return sorted(path.stem for path in (Path(__file__).parents[3] / "devices" / "cards").glob("*.yaml"))


def examples_for(command: str) -> list[str]:
    """Names of the examples that a command takes."""
    from learning.experiments.runs.examples import example_names, examples

    if command == "check":
        return example_names()
    wanted = "sweep:" if command == "sweep" else f"schema: {SCHEMAS.get(command, '')}"
    return [name for name in example_names() if _says(examples() / f"{name}.yaml", wanted)]


def _says(file: Path, wanted: str) -> bool:
    """Whether a line of a file, or of its `base`, begins so. No parser: a key is pressed and somebody waits."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if any(line.startswith(wanted) for line in lines):
        return True
    base = next((line.split()[1] for line in lines if line.startswith("base:")), None)
    return base is not None and _says(file.parent / base, wanted)
