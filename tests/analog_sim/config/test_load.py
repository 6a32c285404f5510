import os
import pickle
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import jsonschema
import pytest
from pydantic import Field

from analog_sim.config import (
    ConfigError,
    DataFile,
    Q,
    StrictModel,
    dump_yaml,
    expand_sweep,
    find_key,
    json_schema,
    load_config,
    named_file,
    relative_file,
    validate,
)


class Noise(StrictModel):
    kind: Literal["none", "constant", "proportional"] = "constant"
    sigma: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0


class Card(StrictModel):
    schema_: Literal["card/1"] = Field("card/1", alias="schema")
    g_max: Annotated[float, Q("conductance", "uS", gt=0)]
    read_noise: Noise = Noise()
    table: DataFile | None = None


class Layer(StrictModel):
    size: int
    card: Card | None = None


class Run(StrictModel):
    config_references: ClassVar = MappingProxyType({"device": relative_file, "layers.*.card": relative_file})
    schema_: Literal["run/1"] = Field("run/1", alias="schema")
    device: Card
    chips: Annotated[int, Field(ge=1)] = 25
    times: tuple[Annotated[float, Q("time", "s", gt=0)], ...] = (1.0,)
    layers: tuple[Layer, ...] = ()
    name: str = "run"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    make("cards/pcm.yaml", "schema: card/1\ng_max: 25 uS\nread_noise:\n  kind: constant\n  sigma: 0.1\n")
    make(
        "run.yaml",
        "schema: run/1\ndevice: cards/pcm.yaml\nchips: 5\ntimes: [1, 1 h]\nlayers:\n  - size: 4\n  - size: 2\n",
    )
    return make


def failure(*arguments: Any, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(*arguments, **options)
    return str(caught.value).split("\n")


def test_reads_units_and_references(write: Any) -> None:
    run = load_config("run.yaml", Run)
    assert run.device == Card(g_max=25, read_noise=Noise(sigma=0.1))
    assert run.times == (1.0, 3600.0)
    assert [layer.size for layer in run.layers] == [4, 2]


def test_all_mistakes_at_once_each_with_its_own_file_and_line(write: Any) -> None:
    write("cards/bad.yaml", "schema: card/1\n\nread_noise:\n  kind: constant\n  simga: 1\ng_mx: 3\n")
    write(
        "bad.yaml",
        "# a comment\nschema: run/1\ndevice: cards/bad.yaml\nchips: 0\ntimes:\n  - 1 h\n  - -1\nlayers: [{size: a}]\nlr: 1\n",
    )
    assert failure("bad.yaml", Run, overrides=["name=3"]) == [
        "cards/bad.yaml:1: device.g_max: missing required key",
        "cards/bad.yaml:5: device.read_noise.simga: unknown key 'simga', did you mean 'sigma'? allowed: kind, sigma",
        "cards/bad.yaml:6: device.g_mx: unknown key 'g_mx', did you mean 'g_max'? allowed: schema, g_max, read_noise, table",
        "bad.yaml:4: chips: must be >= 1 (got 0)",
        "bad.yaml:7: times.1: must be > 0 s (got -1 s)",
        "bad.yaml:8: layers.0.size: must be a whole number (got text 'a')",
        "bad.yaml:9: lr: unknown key 'lr'; allowed: schema, device, chips, times, layers, name",
        "--set name=3: name: must be a text (got 3)",
    ]


def test_missing_key_points_to_its_mapping(write: Any) -> None:
    write("a.yaml", "schema: run/1\nchips: 1\ndevice:\n  schema: card/1\n")
    assert failure("a.yaml", Run) == ["a.yaml:3: device.g_max: missing required key"]
    write("b.yaml", "\n\nchips: 1\n")
    assert failure("b.yaml", Run) == ["b.yaml:3: device: missing required key"]


def test_duplicates_are_reported_with_everything_else(write: Any) -> None:
    write("a.yaml", "device: cards/pcm.yaml\nchips: 1\nchips: 2\nname: 3\n")
    assert failure("a.yaml", Run) == [
        "a.yaml:3: chips: duplicate key 'chips' (first in line 2)",
        "a.yaml:4: name: must be a text (got 3)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "x.yaml: no such file"),
        ("", "x.yaml:1: is empty"),
        ("# nothing\n", "x.yaml:1: is empty"),
        ("- 1\n", "x.yaml:1: must be a mapping of keys to values"),
        ("a: [1\nb: 2\n", "x.yaml:2: not valid YAML: while parsing a flow sequence expected ',' or ']', but got ':'"),
        ("base: nowhere.yaml\n", "x.yaml:1: nowhere.yaml: no such file"),
        ("chips: 1\nbase: [a]\n", "x.yaml:2: base: must be the path of a YAML file"),
        ("base: x.yaml\n", "x.yaml:1: files refer to each other in a circle: x.yaml -> x.yaml"),
        ("device: nowhere.yaml\nchips: 3\n", "x.yaml:1: device: nowhere.yaml: no such file"),
    ],
)
def test_files_that_cannot_be_read_are_one_line(write: Any, text: str | None, expected: str) -> None:
    if text is not None:
        write("x.yaml", text)
    assert failure("x.yaml", Run) == [expected]


def test_not_utf8(write: Any) -> None:
    write("x.yaml", "").write_bytes(b"a: \xff\n")
    assert failure("x.yaml", Run) == ["x.yaml:1: is not UTF-8 text (byte 0xff, number 4 of the line); save it as UTF-8"]


def test_folder_instead_of_file(write: Any) -> None:
    assert failure("cards", Run) == ["cards: is a folder, not a YAML file"]


def test_circle_through_two_files(write: Any) -> None:
    write("a.yaml", "base: sub/b.yaml\n")
    write("sub/b.yaml", "base: ../a.yaml\n")
    assert failure("a.yaml", Run) == ["sub/b.yaml:1: files refer to each other in a circle: a.yaml -> b.yaml -> a.yaml"]


# --- base ---------------------------------------------------------------------------------------------------------


def test_base_merges_mappings_and_replaces_lists(write: Any) -> None:
    write("sub/child.yaml", "base: ../run.yaml\ntimes: [2]\ndevice:\n  read_noise: {sigma: 0.5}\n")
    run = load_config("sub/child.yaml", Run)
    assert (run.chips, run.times, run.device.g_max, run.device.read_noise.sigma) == (5, (2.0,), 25e-6, 5e-7)


def test_marks_stay_with_the_file_that_wrote_the_value(write: Any) -> None:
    write("parent.yaml", "device: cards/pcm.yaml\nchips: 0\nname: 1\n")
    write("child.yaml", "base: parent.yaml\nname: 2\ntimes: [0]\n")
    assert failure("child.yaml", Run) == [
        "parent.yaml:2: chips: must be >= 1 (got 0)",
        "child.yaml:2: name: must be a text (got 2)",
        "child.yaml:3: times.0: must be > 0 s (got 0 s)",
    ]


def test_another_kind_replaces_the_part(write: Any) -> None:
    write("child.yaml", "base: run.yaml\ndevice: {read_noise: {kind: proportional}}\n")
    assert load_config("child.yaml", Run).device.read_noise == Noise(kind="proportional", sigma=0)


def test_same_kind_changes_the_part(write: Any) -> None:
    write("child.yaml", "base: run.yaml\ndevice: {read_noise: {kind: constant}}\n")
    assert load_config("child.yaml", Run).device.read_noise == Noise(sigma=0.1)


def test_positions_change_items_of_a_list(write: Any) -> None:
    write("child.yaml", "base: run.yaml\nlayers: {1: {size: 9}}\n")
    assert [layer.size for layer in load_config("child.yaml", Run).layers] == [4, 9]
    write("child.yaml", "base: run.yaml\nlayers: {2: {size: 9}}\n")
    assert failure("child.yaml", Run) == ["child.yaml:2: layers.2: no such position; the list has 2 items"]


# --- references ---------------------------------------------------------------------------------------------------


def test_reference_is_relative_to_the_file_that_wrote_it(write: Any) -> None:
    write("deep/er/parent.yaml", "device: ../../cards/pcm.yaml\n")
    write("child.yaml", "base: deep/er/parent.yaml\nchips: 2\n")
    assert load_config("child.yaml", Run).device.g_max == 25e-6


def test_card_with_changes_in_place(write: Any) -> None:
    write("a.yaml", "device:\n  base: cards/pcm.yaml\n  read_noise: {sigma: -1}\n")
    assert failure("a.yaml", Run) == ["a.yaml:3: device.read_noise.sigma: must be >= 0 uS (got -1 uS)"]
    write("a.yaml", "device:\n  base: cards/pcm.yaml\n  read_noise: {sigma: 1}\n")
    assert load_config("a.yaml", Run).device == Card(g_max=25, read_noise=Noise(sigma=1))


def test_another_reference_replaces_the_whole_card(write: Any) -> None:
    write("cards/plain.yaml", "g_max: 10\n")
    write("child.yaml", "base: run.yaml\ndevice: cards/plain.yaml\n")
    assert load_config("child.yaml", Run).device == Card(g_max=10)
    write("grandchild.yaml", "base: child.yaml\ndevice: {read_noise: {sigma: 2}}\n")
    assert load_config("grandchild.yaml", Run).device == Card(g_max=10, read_noise=Noise(sigma=2))


def test_references_inside_lists(write: Any) -> None:
    write("a.yaml", "base: run.yaml\nlayers: [{size: 1, card: cards/pcm.yaml}, {size: 2}]\n")
    first, second = load_config("a.yaml", Run).layers
    assert first.card is not None
    assert first.card.g_max == 25e-6
    assert second.card is None


def test_card_with_a_base_of_its_own(write: Any) -> None:
    write("cards/quiet.yaml", "base: pcm.yaml\nread_noise: {sigma: 0}\n")
    write("a.yaml", "device: cards/quiet.yaml\n")
    assert load_config("a.yaml", Run).device == Card(g_max=25, read_noise=Noise(sigma=0))


def test_names_of_packaged_files(write: Any, tmp_path: Path) -> None:
    references = {"device": named_file(tmp_path / "cards")}
    write("sub/mine.yaml", "base: pcm\ng_max: 7\n")  # a packaged name works as the base of a user's card too
    write("sub/a.yaml", "device: pcm\n")
    write("sub/b.yaml", "device: mine.yaml\n")
    write("sub/c.yaml", "device: pmc\nchips: 0\n")
    assert load_config("sub/a.yaml", Run, references=references).device.g_max == 25e-6
    assert load_config("sub/b.yaml", Run, references=references).device == Card(g_max=7, read_noise=Noise(sigma=0.1))
    assert failure("sub/c.yaml", Run, references=references) == [
        "sub/c.yaml:1: device: unknown name 'pmc', did you mean 'pcm'? allowed: pcm, or the path of a .yaml file",
        "sub/c.yaml:2: chips: must be >= 1 (got 0)",
    ]


def test_dicts_may_name_files_too(write: Any) -> None:
    assert validate({"device": "cards/pcm.yaml"}, Run).device.g_max == 25e-6


# --- overrides ----------------------------------------------------------------------------------------------------


def test_overrides_reach_into_references_lists_and_defaults(write: Any) -> None:
    run = load_config(
        "run.yaml",
        Run,
        overrides=["device.read_noise.sigma=200 nS", "layers.1.size=7", "times=[1 day, 3]", "name='3'", "chips = 1e3"],
    )
    assert run.device.read_noise.sigma == 2e-7
    assert [layer.size for layer in run.layers] == [4, 7]
    assert (run.times, run.name, run.chips) == ((86400.0, 3.0), "3", 1000)


def test_override_sets_the_reference_relative_to_the_current_directory(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("here/mine.yaml", "g_max: 3\n")
    monkeypatch.chdir("here")
    run = load_config("../run.yaml", Run, overrides=["device=mine.yaml", "device.read_noise.sigma=1"])
    assert run.device == Card(g_max=3, read_noise=Noise(sigma=1))
    changed = load_config("../run.yaml", Run, overrides=["device={base: mine.yaml, g_max: 4}"])
    assert changed.device == Card(g_max=4)


def test_overrides_in_order(write: Any) -> None:
    assert load_config("run.yaml", Run, overrides=["chips=1", "chips=2"]).chips == 2


def test_override_of_another_kind_and_a_bare_kind(write: Any) -> None:
    run = load_config("run.yaml", Run, overrides=["device.read_noise={kind: proportional}"])
    assert run.device.read_noise == Noise(kind="proportional")
    write("short.yaml", "device: {g_max: 1, read_noise: proportional}\n")
    run = load_config("short.yaml", Run, overrides=["device.read_noise.sigma=1"])
    assert run.device.read_noise == Noise(kind="proportional", sigma=1)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("chips=0", "--set chips=0: chips: must be >= 1 (got 0)"),
        ("chips=", "--set chips=: chips: must be a whole number (got null)"),
        (
            "devcie.g_max=1",
            "--set devcie.g_max=1: devcie: unknown key 'devcie', did you mean 'device'? "
            "allowed: schema, device, chips, times, layers, name",
        ),
        (
            "device.read_noise.simga=1",
            "--set device.read_noise.simga=1: device.read_noise.simga: unknown key 'simga', did you mean 'sigma'? "
            "allowed: kind, sigma",
        ),
        ("chips", "--set chips: must be PATH=VALUE, for example tile.adc.bits=6"),
        ("a..b=1", "--set a..b=1: must be PATH=VALUE, for example tile.adc.bits=6"),
        ("=1", "--set =1: must be PATH=VALUE, for example tile.adc.bits=6"),
        ("times=[1", "--set times=[1: times: not valid YAML: while parsing a flow sequence expected ',' or ']'"),
        ("layers.5.size=1", "--set layers.5.size=1: layers.5: no such position; the list has 2 items"),
        ("device=nowhere.yaml", "--set device=nowhere.yaml: device: nowhere.yaml: no such file"),
        ("device={g_max: 1, g_max: 2}", "--set device={g_max: 1, g_max: 2}: device.g_max: duplicate key 'g_max'"),
        ("chips.x=1", "--set chips.x=1: chips: must be a whole number (got a mapping)"),
    ],
)
def test_mistakes_in_overrides(write: Any, override: str, expected: str) -> None:
    found = failure("run.yaml", Run, overrides=[override])
    assert len(found) == 1
    assert found[0].startswith(expected)


# --- sweeps -------------------------------------------------------------------------------------------------------


def test_sweep_is_a_product_and_left_out_otherwise(write: Any) -> None:
    write("s.yaml", "base: run.yaml\nsweep:\n  chips: [1, 2]\n  device.read_noise.sigma: [0, 50 nS, 1]\n")
    assert load_config("s.yaml", Run).chips == 5
    points = expand_sweep("s.yaml")
    assert len(points) == 6
    assert points[1].label == {"chips": 1, "device.read_noise.sigma": "50 nS"}
    assert points[1].overrides == ("chips=1", "device.read_noise.sigma=50 nS")
    runs = [load_config("s.yaml", Run, overrides=point.overrides) for point in points]
    assert [(run.chips, run.device.read_noise.sigma) for run in runs][:4] == [(1, 0.0), (1, 5e-8), (1, 1e-6), (2, 0.0)]


def test_sweep_of_files_is_relative_to_the_yaml_file_and_mistakes_have_its_line(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("cards/other.yaml", "g_max: 10\n")
    write(
        "sub/s.yaml",
        "base: ../run.yaml\nsweep:\n  device: [../cards/pcm.yaml, ../cards/other.yaml]\n  chips:\n    - 1\n    - 0\n",
    )
    points = expand_sweep("sub/s.yaml")
    assert load_config("sub/s.yaml", Run, overrides=points[2].overrides).device.g_max == 10e-6
    assert failure("sub/s.yaml", Run, overrides=points[1].overrides) == ["sub/s.yaml:6: chips: must be >= 1 (got 0)"]


@pytest.mark.parametrize(
    "value", ["3", "'3'", "off", "'25 uS'", "[1, 2 h]", "{kind: none, sigma: 1e-3}", "null", "true", "'true'", "x: y"]
)
def test_sweep_values_arrive_unchanged(write: Any, value: str) -> None:
    text = "{x: y}" if value == "x: y" else value
    write("s.yaml", f"sweep: {{a.b: [{text}]}}\n")
    (point,) = expand_sweep("s.yaml")
    write("t.yaml", "a: {b: 0}\n")
    changed, _ = find_key("t.yaml", "a", overrides=point.overrides)
    expected, _ = find_key(write("u.yaml", f"b: {text}\n"), "b")
    assert changed == {"b": expected}
    assert type(changed["b"]) is type(expected)


def test_without_sweep_there_is_one_point(write: Any) -> None:
    (point,) = expand_sweep("run.yaml")
    assert (point.label, point.overrides) == ({}, ())


def test_sweep_can_be_overridden(write: Any) -> None:
    write("s.yaml", "base: run.yaml\nsweep: {chips: [1, 2]}\n")
    labels = [
        point.label for point in expand_sweep("s.yaml", overrides=["sweep.chips=[7]", "sweep.device.g_max=[1, 2]"])
    ]
    assert labels == [{"chips": 7, "device.g_max": 1}, {"chips": 7, "device.g_max": 2}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sweep: 3", "s.yaml:1: sweep: must be a mapping of dotted paths to lists of values"),
        ("sweep: {chips: 3}", "s.yaml:1: sweep.chips: must be a list of at least one value"),
        ("sweep:\n  chips: []", "s.yaml:2: sweep.chips: must be a list of at least one value"),
    ],
)
def test_mistakes_in_sweeps(write: Any, text: str, expected: str) -> None:
    write("s.yaml", text)
    with pytest.raises(ConfigError) as caught:
        expand_sweep("s.yaml")
    assert str(caught.value) == expected


# --- data files, round trip, schema -------------------------------------------------------------------------------


def test_data_file_is_relative_to_the_file_that_names_it(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("cards/steps.npz", "")
    write("cards/measured.yaml", "g_max: 1\ntable: steps.npz\n")
    write("sub/a.yaml", "device: ../cards/measured.yaml\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = load_config("../sub/a.yaml", Run)
    assert run.device.table == tmp_path / "cards" / "steps.npz"
    again = write("elsewhere/resolved.yaml", dump_yaml(run))
    assert load_config(again, Run) == run


def test_missing_data_file_has_the_line(write: Any, tmp_path: Path) -> None:
    write("cards/measured.yaml", "g_max: 1\ntable: stpes.npz\n")
    write("a.yaml", "device: cards/measured.yaml\n")
    expected = f"no such file: {tmp_path / 'cards' / 'stpes.npz'} (written 'stpes.npz')"
    assert failure("a.yaml", Run) == [f"cards/measured.yaml:2: device.table: {expected}"]
    found = failure("run.yaml", Run, overrides=["device.table=cards"])
    assert found == [f"--set device.table=cards: device.table: is not a file: {tmp_path / 'cards'} (written 'cards')"]


def test_files_outside_the_current_directory_are_shown_in_full(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (line,) = failure("../run.yaml", Run, overrides=[]) if write("run.yaml", "chips: 1\n") else ("",)
    assert line == f"{tmp_path / 'run.yaml'}:1: device: missing required key"


def test_round_trip_through_a_file(write: Any) -> None:
    run = load_config(
        "run.yaml", Run, overrides=["device.read_noise.sigma=0.1234567890123 nS", "name=off", "times=[1 month]"]
    )
    write("again.yaml", dump_yaml(run))
    assert load_config("again.yaml", Run) == run


def test_schema_accepts_what_loads_and_refuses_the_rest(write: Any) -> None:
    schema = json_schema(Run)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    card = {"g_max": 1}
    good: list[dict[str, Any]] = [
        {"device": "cards/pcm.yaml"},
        {"schema": "run/1", "device": card, "chips": 3, "times": [1, "1 h"]},
        {"device": {"base": "cards/pcm.yaml", "read_noise": {"sigma": 1}}},
        {"base": "run.yaml", "chips": 3, "sweep": {"chips": [1, 2]}},
        {"base": "run.yaml", "device": {"read_noise": {"sigma": "1 nS"}}},
        {"device": card, "layers": [{"size": 1, "card": "cards/pcm.yaml"}]},
    ]
    bad: list[dict[str, Any]] = [
        {},
        {"device": card, "chips": 0},
        {"device": {}},
        {"device": card, "chpis": 3},
        {"device": {"g_max": 0}},
        {"base": "run.yaml", "device": {"read_noise": {"simga": 1}}},
        {"device": card, "layers": [{}]},
        {"device": card, "sweep": {"chips": 3}},
    ]
    assert [data for data in good if not check.is_valid(data)] == []
    assert [data for data in bad if check.is_valid(data)] == []


def test_load_does_not_change_the_process(write: Any) -> None:
    before = (Path.cwd(), dict(os.environ))
    load_config("run.yaml", Run)
    assert (Path.cwd(), dict(os.environ)) == before


def test_data_file_must_be_a_text(write: Any) -> None:
    write("a.yaml", "device:\n  g_max: 1\n  table: 3\n")
    assert failure("a.yaml", Run) == ["a.yaml:3: device.table: must be the path of a file (got 3)"]


def test_sweep_points_go_to_other_processes(write: Any) -> None:
    write("s.yaml", "sweep:\n  name:\n    - '[not yaml'\n    - 3\n")
    write("t.yaml", "device: cards/pcm.yaml\n")
    points = pickle.loads(pickle.dumps(expand_sweep("s.yaml")))
    assert load_config("t.yaml", Run, overrides=points[0].overrides).name == "[not yaml"
    assert failure("t.yaml", Run, overrides=points[1].overrides) == ["s.yaml:4: name: must be a text (got 3)"]


def test_unknown_base_name_of_a_card(write: Any, tmp_path: Path) -> None:
    write("mine.yaml", "base: pmc\n")
    expected = "mine.yaml:1: base: unknown name 'pmc', did you mean 'pcm'? allowed: pcm, or the path of a .yaml file"
    assert failure("mine.yaml", Card, references={"base": named_file(tmp_path / "cards")}) == [expected]


def test_references_look_only_where_they_are_told(write: Any) -> None:
    write("a.yaml", "device: cards/pcm.yaml\nname: cards/pcm.yaml\nlayers: 3\n")
    assert failure("a.yaml", Run) == ["a.yaml:3: layers: must be a list (got 3)"]
    first_only = {"device": relative_file, "layers.0.card": relative_file}
    write("a.yaml", "base: run.yaml\nlayers: [{size: 1, card: cards/pcm.yaml}, {size: 1, card: cards/pcm.yaml}]\n")
    assert failure("a.yaml", Run, references=first_only) == [
        "a.yaml:2: layers.1.card: must be a mapping of keys to values (got text 'cards/pcm.yaml')"
    ]


def test_a_faulty_item_is_not_told_of_twice() -> None:
    class Listed(StrictModel):
        values: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]

    with pytest.raises(ConfigError) as error:
        validate({"values": [0.0]}, Listed)
    assert [problem.path for problem in error.value.problems] == ["values.0"]
    with pytest.raises(ConfigError, match="values: must have at least 1 items"):
        validate({"values": []}, Listed)
