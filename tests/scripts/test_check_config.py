import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import yaml

from analog_sim.config import expand_sweep, json_schema, load_config, validate
from analog_sim.config.yaml12 import Loader
from devices.card import CARDS, DeviceCard
from learning.experiments.commands._cli import main_guard
from learning.experiments.commands.check import schema_of
from learning.experiments.training.load import load_training

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONFIGS = SCRIPTS.parent / "configs"
EXAMPLES = sorted(
    path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "measurements"
)  # those name lab files
COMMANDS = SCRIPTS.parent / "learning" / "experiments" / "commands"
MODEL = """
from typing import Annotated, Literal
from pydantic import Field
from analog_sim.config import Q, StrictModel
class Toy(StrictModel):
    schema_: Literal["toy/1"] = Field(alias="schema")
    g: Annotated[float, Q("conductance", "uS", ge=0)] = 1
    chips: int = 25
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script with a toy model in its table, in an empty current directory."""
    (tmp_path / "toy_of_check_config.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    script = importlib.import_module("learning.experiments.commands.check")
    monkeypatch.setattr(script, "MODELS", {"toy/1": "toy_of_check_config:Toy", "other/1": "nowhere:Nothing"})
    return script


def run(script: ModuleType, *arguments: str) -> int:
    status: int = main_guard(script.main, arguments)
    return status


def test_ok(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("schema: toy/1\ng: 3 nS\n")
    assert run(check, "a.yaml", "--set", "chips=3") == 0
    assert capsys.readouterr().out == "OK: a.yaml\n"


def test_resolved_reads_back(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("schema: toy/1\ng: 3 nS\n")
    assert run(check, "a.yaml", "--resolved", "--set", "chips=3") == 0
    printed = capsys.readouterr().out
    assert printed == "schema: toy/1\ng: 0.003 uS\nchips: 3\n"
    Path("b.yaml").write_text(printed)
    assert run(check, "b.yaml") == 0


def test_every_mistake_and_status_2(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("schema: toy/1\ng: -3 nS\nchpis: 3\n")
    assert run(check, "a.yaml", "--set", "chips=x") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "a.yaml:2: g: must be >= 0 uS (got '-3 nS')",
        "a.yaml:3: chpis: unknown key 'chpis', did you mean 'chips'? allowed: schema, g, chips",
        "--set chips=x: chips: must be a whole number (got text 'x')",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g: 1\n", "a.yaml:1: schema: missing required key, which says what the file is: toy/1, other/1\n"),
        (
            "g: 1\nschema: toy\n",
            "a.yaml:2: schema: unknown schema 'toy', did you mean 'toy/1'? allowed: toy/1, other/1\n",
        ),
        ("schema: 3\n", "a.yaml:1: schema: unknown schema '3'; allowed: toy/1, other/1\n"),
        ("schema: [toy/1]\n", "a.yaml:1: schema: unknown schema '['toy/1']'; allowed: toy/1, other/1\n"),
    ],
)
def test_a_file_says_what_it_is(
    check: ModuleType, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    Path("a.yaml").write_text(text)
    assert run(check, "a.yaml") == 2
    assert capsys.readouterr().err == expected


def test_the_key_may_come_from_a_base_or_an_override(check: ModuleType) -> None:
    Path("parent.yaml").write_text("schema: toy/1\n")
    Path("a.yaml").write_text("base: parent.yaml\n")
    assert run(check, "a.yaml") == 0
    Path("b.yaml").write_text("g: 1\n")
    assert run(check, "b.yaml", "--set", "schema=toy/1") == 0


def test_every_sweep_point_is_checked(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("schema: toy/1\nsweep:\n  g: [1, 2]\n  chips: [1, 2]\n")
    assert run(check, "a.yaml") == 0
    assert capsys.readouterr().out == "OK: a.yaml and its 4 sweep points\n"
    Path("a.yaml").write_text("schema: toy/1\nsweep:\n  g:\n    - 1\n    - -2\n    - 3 s\n")
    assert run(check, "a.yaml") == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "a.yaml:5: g: must be >= 0 uS (got -2 uS)"
    assert errors[1].startswith("a.yaml:6: g: 's' is a unit of time")


def test_schema_file(check: ModuleType) -> None:
    Path("a.yaml").write_text("schema: toy/1\n")
    assert run(check, "a.yaml", "--schema", "toy.json") == 0
    schema = json.loads(Path("toy.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid({"schema": "toy/1", "g": "1 uS"})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"schema": "toy/1", "gg": 1})


def test_schema_file_that_cannot_be_written(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("schema: toy/1\n")
    assert run(check, "a.yaml", "--schema", "no/folder/toy.json") == 2
    assert capsys.readouterr().err == "--schema no/folder/toy.json: No such file or directory\n"


def test_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\n")
    command = [sys.executable, str(SCRIPTS / "check_config.py"), "a.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("a.yaml:1: schema: missing required key, which says what the file is: ")
    assert "Traceback" not in result.stderr


TABLE = dict(re.findall(r'"([a-z]+/1)": "([\w.:]+)"', (COMMANDS / "check.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("name", "target"), TABLE.items())
def test_the_table_names_models_of_that_schema(name: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    model = getattr(importlib.import_module(module), attribute)
    assert name in str(model.model_fields["schema_"].annotation)
    jsonschema.Draft202012Validator.check_schema(json_schema(model))


def test_every_model_of_a_file_has_a_row() -> None:
    root = SCRIPTS.parent
    sources = [
        path.read_text(encoding="utf-8") for name in ("devices", "learning") for path in (root / name).rglob("*.py")
    ]
    declared = {name for text in sources for name in re.findall(r'schema_: [^\n]*Literal\["([a-z_]+/\d+)"\]', text)}
    assert declared == set(TABLE)


@pytest.mark.parametrize("card", sorted(CARDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_cards_fit_the_model_and_the_schema(card: Path) -> None:
    model = load_config(card, DeviceCard)
    assert validate(model.model_dump(), DeviceCard) == model
    editor = jsonschema.Draft202012Validator(json_schema(DeviceCard))
    assert [
        error.message for error in editor.iter_errors(yaml.load(card.read_text(encoding="utf-8"), Loader=Loader))
    ] == []


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda path: path.relative_to(CONFIGS).with_suffix("").as_posix())
def test_packaged_configurations_load_with_all_arms_and_points(config: Path) -> None:
    """Without data: whether the data sets are at hand is another matter."""
    name, model = schema_of(config, ())
    if name == "train/1":
        load_training(config)
        return
    for point in expand_sweep(config):
        load_config(config, model, overrides=point.overrides)
