"""Write a commented file to start from, which runs as it is, and the schema by which an editor completes keys and underlines mistakes."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from learning.experiments.commands._cli import HelpText
from learning.experiments.commands._terminal import say

KINDS = {"estimate": "digits_pcm", "train": "digits_node_perturbation", "fit": "measurements/template", "card": "ecram"}
"""What is asked for -> the example, or packaged card, that the file begins as."""
MODEL = "my_model.py"
"""What `init model` writes: a torch network of one's own."""
BESIDE = {"measurements/template": "my_pulses.csv"}
"""Example -> the file that it reads, made-up data to be replaced by one's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Write a commented file to start from, which runs as it is: YAML with the schema line for editors, or a torch network.",
        epilog="examples:\n  analog-hil init estimate\n  analog-hil init card my_cell.yaml --from reram_wan2022\n  analog-hil init model",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("kind", choices=(*KINDS, "model"), help="what the file is for")
    parser.add_argument(
        "file", metavar="FILE", type=Path, nargs="?", help=f"file to write (default: my_KIND.yaml, {MODEL})"
    )
    parser.add_argument("--from", metavar="NAME", dest="begin", help="example, or packaged card, to begin with")
    options = parser.parse_args(arguments)
    if options.kind == "model":
        return _model(options.file or Path(MODEL), options.begin)
    file = options.file or Path(f"my_{options.kind}.yaml")
    schema = file.with_name(f"analog-hil-{options.kind}.schema.json")

    from analog_sim.config import UserError, json_schema
    from learning.experiments.commands._cli import require_schema
    from learning.experiments.commands.check import schema_of
    from learning.experiments.runs.files import write_text

    begin = options.begin or KINDS[options.kind]
    source = _source(options.kind, begin)
    data = BESIDE.get(begin)
    for new in (file, *([file.with_name(data)] if data else [])):
        if new.exists():
            raise UserError(
                f"{new}: is there already; choose another name{'' if new == file else ' for it, or another folder'}"
            )
    wanted = {"estimate": "estimate/1", "train": "train/1", "fit": "measurements/1", "card": "card/1"}[options.kind]
    require_schema(source, wanted)
    write_text(schema, json.dumps(json_schema(schema_of(source, ())[1]), indent=2) + "\n")
    write_text(file, begun(source.read_text(encoding="utf-8"), file, schema))
    if data:
        write_text(file.with_name(data), source.with_name(data).read_text(encoding="utf-8"))
    command = {"card": "characterise"}.get(options.kind, options.kind)
    also = f", with {file.with_name(data)}, made-up pulses to be replaced by yours" if data else ""
    say(f"{file} written{also}, and {schema} for editors; next:")
    print(f"  analog-hil check {file}\n  analog-hil {command} {file}")
    return 0


def _model(file: Path, begin: str | None) -> int:
    """Write a torch network of one's own, and say how it is estimated."""
    from analog_sim.config import UserError
    from learning.experiments.runs.examples import examples
    from learning.experiments.runs.files import write_text

    if begin is not None:
        raise UserError("--from: a model begins as the one example there is")
    if file.exists():
        raise UserError(f"{file}: is there already; choose another name")
    installed = examples() / MODEL
    source = installed if installed.is_file() else examples().parent / "docs" / "examples" / MODEL
    write_text(file, source.read_text(encoding="utf-8"))
    print(f"{file} written; next:\n  analog-hil estimate digits_pcm --model {file}:build")
    return 0


def _source(kind: str, name: str) -> Path:
    """The packaged file that is copied. Raises UserError."""
    from analog_sim.config import UserError

    if kind == "card":
        from devices.card import resolve_card

        return resolve_card(name, None)
    from learning.experiments.runs.examples import config_file

    try:
        return config_file(name)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--from: {error}") from error


def begun(text: str, file: Path, schema: Path) -> str:
    """The text of a new file: the schema line first, commands in comments naming the new file."""
    named = re.sub(r"^(#\s+analog-hil \w+) \S+", lambda found: f"{found[1]} {file.name}", text, flags=re.MULTILINE)
    return f"# yaml-language-server: $schema={schema.name}\n{named}"
