"""Device cards as files: what is packaged, what is refused, what survives a round trip, what every field changes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cards_helpers import FIELDS, NAMES, ROWS, card_of, row_card
from pydantic import BaseModel

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import ConfigError, StrictModel, UserError, dump_yaml, load_config, validate
from devices.card import CARDS, DeviceCard, load_card, resolve_card

WANTED = {"ideal", "pcm", "reram_wan2022", "reram_milo2021", "reram_soft_bounds", "ecram", "capacitor", "generic_reram"}


def same(a: object, b: object) -> bool:
    """Whether two compiled values are equal, arrays element by element."""
    if is_dataclass(a) and type(a) is type(b):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and a == b


def card(**fields: Any) -> DeviceCard:
    return validate({"name": "x", "g_max": 20, **fields}, DeviceCard)


def test_packaged_cards() -> None:
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_packaged_card_compiles(name: str) -> None:
    loaded = load_card(name)
    assert loaded.name == name, "the file is named after the card"
    assert loaded.reference
    cell = loaded.compile()
    assert cell.name == name
    assert (cell.g_min, cell.g_max) == (loaded.g_min, loaded.g_max)
    assert same(cell, load_card(name).compile())


@pytest.mark.parametrize("name", NAMES)
def test_every_number_says_where_it_comes_from(name: str) -> None:
    lines = (CARDS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    sources = set(re.findall(r"^# +\[(\w)\] .*(?:doi:10\.\d{4,9}/\S+|AIHWKit|CrossSim)", header, re.MULTILINE))
    silent = []
    for number, line in enumerate(lines, 1):
        value, _, comment = line.partition("#")
        if not re.search(r":.*\d", value) or value.startswith(("schema", "reference", "name", "assumed")):
            continue
        if not (set(re.findall(r"\[(\w)\]", comment)) & sources or "assumed" in comment):
            silent.append(f"{name}.yaml:{number}: {line}")
    assert not silent, "\n".join(silent)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_card_marks_as_assumed_is_data_too(name: str) -> None:
    """The comments in the file and the key `assumed` say the same."""
    above: list[tuple[int, str]] = []
    marked = []
    for line in (CARDS / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)(\w+):", line)
        if found is None:
            continue
        above = [(depth, key) for depth, key in above if depth < len(found[1])] + [(len(found[1]), found[2])]
        if re.search(r"\bassumed\b", line.partition("#")[2]):
            marked.append(".".join(key for _, key in above))
    loaded = load_card(name)
    filled = {f"cost.{key}" for key in ("t_read", "t_program", "t_pulse", "v_read")} - {
        f"cost.{key}" for key in loaded.cost.model_fields_set
    }
    assert set(marked) == set(loaded.assumed) - filled
    assert set(loaded.assumptions()) == set(loaded.assumed), "every key is there"


def test_assumed_keys_follow_the_card() -> None:
    assert load_card("pcm").assumptions() == {
        "drift.high": "1", "cost.t_program": "10 us", "cost.v_read": "0.2 V",
    }  # fmt: skip
    assert "drift.high" not in load_card("pcm", overrides=["drift=none"]).assumptions(), "nothing is there any more"
    bare = card()
    assert bare.assumptions() == {"cost.t_read": "100 ns", "cost.t_program": "10 us", "cost.v_read": "0.2 V"}, (
        "what the program fills in"
    )
    assert "cost.t_read" not in card(cost={"t_read": "50 ns"}).assumptions()
    with pytest.raises(ConfigError, match=r"'drfit\.low' is no key of a card"):
        card(assumed=["drfit.low"])


@pytest.mark.parametrize("name", [*NAMES, *ROWS])
def test_yaml_round_trip(name: str, tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(dump_yaml(card_of(name)), encoding="utf-8")
    again = load_card(path)
    assert again == card_of(name)
    assert same(again.compile(), card_of(name).compile())


class Experiment(StrictModel):
    device: DeviceCard


def test_a_card_inside_another_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: pcm\nname: mine\ng_max: 40 uS\n", encoding="utf-8")
    assert load_card(mine).drift == load_card("pcm").drift
    run = tmp_path / "run.yaml"
    for text, name, g_max in (("pcm", "pcm", 25e-6), ("mine.yaml", "mine", 40e-6)):
        run.write_text(f"device: {text}\n", encoding="utf-8")
        device = load_config(run, Experiment, references={"device": resolve_card}).device
        assert (device.name, device.g_max) == (name, g_max)
    run.write_text("device: {base: pcm, read_noise: none}\n", encoding="utf-8")
    device = load_config(run, Experiment, references={"device": resolve_card}).device
    assert device.compile().read.silent


def test_overrides() -> None:
    assert load_card("ideal", overrides=["g_max=50 uS", "pulse.states=20"]).step_mean(0.5, True) == pytest.approx(
        2.5e-6
    )


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"unknown name 'pmc', did you mean 'pcm'\?"):
        load_card("pmc")


@pytest.mark.parametrize(
    ("fields", "key", "message"),
    [
        ({"g_min": 30}, "g_min", "must be < g_max"),
        ({"g_max": -1}, "g_max", "must be >= 1e-09 uS"),
        ({"g_max": "5 V"}, "g_max", "unit of voltage, not of conductance"),
        ({"puls": "ideal"}, "puls", "unknown key 'puls', did you mean 'pulse'"),
        ({"pulse": {"kind": "soft_bound", "states": 3}}, "pulse.kind", "did you mean 'soft_bounds'"),
        (
            {"pulse": {"kind": "soft_bounds"}},
            "pulse.states",
            "exactly one of step, fraction, states (got none of them)",
        ),
        ({"pulse": {"kind": "soft_bounds", "states": 3, "step": 1}}, "pulse.states", "(got step and states)"),
        ({"pulse": {"kind": "soft_bounds", "states": 3, "noise": -1}}, "pulse.noise", "must be >= 0"),
        ({"pulse": {"kind": "soft_bounds", "states": 3, "asymmetry": 1}}, "pulse.asymmetry", "must be < 1"),
        ({"pulse": {"kind": "piecewise", "states": 3, "up": [], "down": [1]}}, "pulse.up", "at least one number"),
        ({"pulse": {"kind": "power_step", "states": 3, "gamma_up": 1}}, "pulse.gamma_down", ""),
        ({"read_noise": {"kind": "constant", "std": -1}}, "read_noise.std", "must be >= 0 uS"),
        (
            {"programming": {"kind": "polynomial", "coefficients": [], "reference_g_max": 1}},
            "programming.coefficients",
            "",
        ),
        ({"drift": {"kind": "power_law", "mean": {"level": 0.1}, "t_ref": 0}}, "drift.t_ref", "must be > 0 s"),
        (
            {"drift": {"kind": "power_law", "mean": {"level": 0.1, "low": 2}, "t_ref": 1}},
            "drift.mean.low",
            "must be <= high",
        ),
        (
            {"drift": {"kind": "power_law", "mean": {"level": 0.1}, "std": {"level": -0.1}, "t_ref": 1}},
            "drift.std",
            "cannot be negative",
        ),
        ({"levels": {"count": 1}}, "levels.count", "must be >= 2"),
        ({"levels": {}}, "levels.count", "either count or values"),
        ({"levels": {"values": [1, 1]}}, "levels.values", "ascending"),
        ({"levels": {"values": [1, 50]}}, "levels", "do not fit the window"),
        ({"faults": {"stuck_low": 0.6, "stuck_high": 0.6}}, "faults.stuck_low", "must be <= 1"),
        ({"faults": {"dead_rows": "120 %"}}, "faults.dead_rows", "must be <= 1"),
        ({"variation": {"step": -0.1}}, "variation.step", "must be >= 0"),
        ({"g_min": 0, "variation": {"g_min": 0.1}}, "variation.g_min", "half of this spread would be cut off at 0 S"),
        ({"variation": {"kept_at": 0.5}}, "variation.kept_at", "only with symmetry: kept"),
        ({"variation": {"symmetry": "kept"}}, "variation.symmetry", "the card has no part `pulse`"),
        (
            {"pulse": {"kind": "piecewise", "states": 9, "up": [1], "down": [0.5]}, "variation": {"symmetry": "kept"}},
            "variation.symmetry",
            "cancel at no state",
        ),
        ({"g_min": 1e-6, "variation": {"g_min": 0.1}}, "variation.g_min", "all but a few would be at 0 S"),
        (
            {
                "pulse": {"kind": "soft_bounds", "fraction": 1e-300},
                "variation": {"symmetry": "kept", "kept_at": 0.5},
            },
            "variation.symmetry",
            "a step is 0 at the state where steps are to be kept",
        ),
        (
            {"programming": {"kind": "polynomial", "coefficients": [1], "reference_g_max": 1e-6}},
            "programming",
            "(is reference_g_max right?)",
        ),
        (
            {"drift": {"kind": "relaxation", "std": [1], "reference_g_max": 1e-6}},
            "drift",
            "allowed: up to 1000 times g_max",
        ),
        ({"cost": {"t_read": 0}}, "cost.t_read", "must be > 0 s"),
        ({"cost": {"t_read": "3 h"}}, "cost.t_read", "must be <= 10000 s"),
        ({"endurance": 0}, "endurance", "must be > 0"),
        ({"name": ""}, "name", ""),
    ],
)
def test_bad_cards_end_in_one_line(fields: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        card(**fields)
    problems = caught.value.problems
    assert len(problems) == 1, [str(problem) for problem in problems]
    assert problems[0].path == key
    assert message in problems[0].message


def test_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ng_max: 20 uS\nread_noise:\n  kind: constant\n  std: -1 uS\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml:5: read_noise\.std: must be >= 0 uS \(got '-1 uS'\)"):
        load_card(path)


def test_a_card_without_pulses_says_so() -> None:
    with pytest.raises(ValueError, match="card x: no pulse law"):
        card().step_mean(0.5, True)


def leaves(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field of a model that holds no other model, with its path."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


CHOICES = (
    ("target", "now"),
    ("target", "written"),
    ("cell", "reading"),
    ("clip", "reflect"),
    ("moves", "kept"),
)
"""Words that a field may hold one of; those that its law does not know change nothing that compiles."""


def other(value: Any) -> list[Any]:
    """Other values to try in place of one; the first that is valid is taken."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 3, value - 1]
    if isinstance(value, float):
        return [value * 0.7 + 0.01, value * 0.7, value * 1.3 + 1e-9, value - 0.1]
    if isinstance(value, tuple):
        return [(item, *value[1:]) for item in other(value[0])]
    choices = [words for words in CHOICES if value in words]
    if not choices:
        raise AssertionError(f"no other value for {value!r}")
    return [word for words in choices for word in words if word != value]


def with_field(model: BaseModel, path: tuple[str, ...], value: Any) -> Any:
    """A copy with one field changed (values are SI: not checked again)."""
    name, *rest = path
    child = getattr(model, name)
    return model.model_copy(update={name: with_field(child, tuple(rest), value) if rest else value})


def changes(before: DeviceCard, path: tuple[str, ...]) -> bool:
    """Whether some other value of a field gives other tables."""
    value: Any = before
    for name in path:
        value = getattr(value, name)
    cell = before.compile()
    found = False
    for candidate in other(value):
        try:
            found = found or not same(cell, with_field(before, path, candidate).compile())
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("row", ROWS)
def test_every_field_of_a_part_changes_the_cell(row: str) -> None:
    before = row_card(row)
    part = FIELDS[row.split("/")[0]]
    for path, value in leaves(getattr(before, part), (part,)):
        if path[-1] == "kind" or value is None:
            continue
        if path[-1] in ("low", "high") and path[-2] in ("mean", "std"):
            value = {"low": 0.09, "high": 0.01}[path[-1]]  # where it cuts
            assert not same(before.compile(), with_field(before, path, value).compile()), ".".join(path)
            continue
        assert changes(before, path), f"{row}: {'.'.join(path)} changes nothing"


def test_every_field_of_a_card_changes_the_cell() -> None:
    before = card(
        g_min=1,
        levels={"values": [2, 5, 9]},
        endurance=1e6,
        pulse={"kind": "soft_bounds", "states": 100},
        faults={"stuck_low": 0.01, "stuck_high": 0.01, "stuck_random": 0.01},
    )
    skipped = {("schema_",), ("name",), ("reference",), ("assumed",)}
    for path, value in leaves(before):
        if path in skipped or path[0] in FIELDS.values() or value is None:
            continue
        assert changes(before, path), f"{'.'.join(path)} changes nothing"
    assert before.model_copy(update={"name": "y"}).compile().name == "y"
    assert before.model_copy(update={"reference": "z"}) != before
    assert not same(before.compile(), before.model_copy(update={"levels": None, "endurance": None}).compile())
    count = card(g_min=1, levels={"count": 4}).compile().levels
    assert count is not None
    np.testing.assert_allclose(count, np.linspace(1e-6, 20e-6, 4, dtype=np.float32))


def test_no_field_is_forgotten_by_compile() -> None:
    """Every field of the emulator's cell is reached from a card."""
    full: Mapping[str, Any] = {
        "g_min": 1,
        "levels": {"count": 4},
        "endurance": 1e6,
        "half_select": 0.01,
        "read_disturb": 1e-6,
        "iv_alpha": 0.5,
        "pulse": {"kind": "soft_bounds", "states": 100},
        "programming": {"kind": "write_verify", "shot_std": 1, "tolerance": 1},
        "read_noise": {"kind": "flicker", "coefficient": 0.01, "t_read": "1 us"},
        "faults": {"stuck_low": 0.01},
        "variation": {"step": 0.1},
        "cost": {"v_read": 0.5},
    }
    power_law = {"kind": "power_law", "mean": {"level": 0.1}, "t_ref": 1}
    relaxation = {"kind": "relaxation", "std": [1], "reference_g_max": 20}
    bare = CellModel("x", 0.0, 20e-6)
    cells = [card(**full, drift=drift).compile() for drift in (power_law, relaxation)]
    reached = {
        field.name
        for cell in cells
        for field in fields(cell)
        if not same(getattr(cell, field.name), getattr(bare, field.name))
    }
    assert {field.name for field in fields(bare)} - reached == {
        "name",
        "g_max",
        "windows",
    }  # windows: measured pulses only


def test_the_overview_lists_every_card() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/device_cards.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(NAMES)
