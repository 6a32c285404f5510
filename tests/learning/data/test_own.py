"""The user's own data: split, normalised, hashed, and refused with one clear line when they cannot be used."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import DATA, OWN_DATA

from analog_sim.config import ConfigError, StrictModel, UserError, json_schema, load_config, validate
from learning.common.identity import data_parts
from learning.data.form import formed
from learning.data.published import Published
from learning.data.spec import AnyData, DataSpec


class Holder(StrictModel):
    """A file with a data set."""

    dataset: AnyData


def spec(value: Any) -> DataSpec:
    return validate({"dataset": value}, Holder).dataset


def npz(folder: Path, **change: Any) -> dict[str, Any]:
    """A data set of 12 and 6 samples of 2 classes, with some arrays replaced, or left out where None."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x_train": rng.normal(3.0, 2.0, (12, 4)),
        "y_train": np.arange(12) % 2,
        "x_test": rng.normal(-5.0, 9.0, (6, 4)),
        "y_test": np.arange(6) % 2,
    } | change
    np.savez(folder / "mine.npz", **{key: value for key, value in arrays.items() if value is not None})
    return {"file": str(folder / "mine.npz")}


@pytest.mark.parametrize(("kind", "i"), [(kind, i) for kind, rows in DATA.items() for i in range(len(rows))])
def test_every_row_is_read_dumped_and_known_to_editors(kind: str, i: int) -> None:
    import jsonschema

    row = DATA[kind][i]
    written = row if kind in row else {"name": kind, **row}
    holder = validate({"dataset": written}, Holder)
    jsonschema.validate({"dataset": written}, json_schema(Holder))
    dumped = json.loads(holder.model_dump_json())
    assert "kind" not in dumped["dataset"]
    assert validate(dumped, Holder) == holder
    if isinstance(holder.dataset, Published) and kind != "digits":
        return
    data = formed(holder.dataset)
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == data.shape
    assert len(data.x_train) == len(data.y_train) > 0
    assert len(data.x_test) == len(data.y_test) > 0
    if data.targets is None:
        assert set(data.y_train) == set(range(len(data.classes)))
    else:
        assert data.y_train.shape == (len(data.x_train), len(data.outputs))
    assert formed(spec(written)).sha256 == data.sha256


def test_a_name_is_enough() -> None:
    assert spec("digits") == spec({"name": "digits"}) == spec({"kind": "digits"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("digist", "unknown data set 'digist', did you mean 'digits'"),
        ({"name": "digist"}, "dataset.name: unknown data set 'digist'"),
        ({"flatten": True}, "missing key 'name'"),
        (7, "must be the name of a data set or a mapping"),
        ({"name": "digits", "csv": "a.csv"}, "give only one of name and csv"),
        ({"file": "nowhere.npz"}, "no such file"),
        ({"name": "digits", "normalise": "standard", "mean": [0.5]}, "remove it, or mean and std"),
        ({"name": "digits", "mean": [0.1, 0.2, 0.3]}, "one per channel"),
        ({"images": ""}, "must be a path"),
    ],
)
def test_configurations_that_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec(value)


def test_arrays_of_the_file_are_the_parts(tmp_path: Path) -> None:
    made = npz(tmp_path)
    data = formed(spec({**made, "order": "kept"}))
    saved = np.load(tmp_path / "mine.npz")
    for key in saved:
        np.testing.assert_array_equal(getattr(data, key), saved[key].astype(np.float32))
    assert (data.classes, data.note, data.name) == (("0", "1"), "", "mine.npz")
    shuffled = formed(spec(made))
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_array_equal(shuffled.x_train, data.x_train[order])
    np.testing.assert_array_equal(shuffled.y_train, data.y_train[order])


def test_shapes_of_samples(tmp_path: Path) -> None:
    pictures = np.arange(12 * 6, dtype=np.uint8).reshape(12, 2, 3)
    made = npz(tmp_path, x_train=pictures, x_test=pictures[:6])
    data = formed(spec({**made, "order": "kept"}))
    assert data.shape == (1, 2, 3)
    np.testing.assert_allclose(data.x_train[:, 0], pictures / 255, rtol=1e-6)
    assert formed(spec({**made, "shape": [2, 3]})).shape == (2, 3)
    assert formed(spec({**made, "flatten": True})).shape == (6,)
    with pytest.raises(UserError, match=r"samples of shape \(2, 3\) cannot take dataset.shape \(4,\)"):
        formed(spec({**made, "shape": [4]}))


def test_normalisation_comes_from_the_samples_that_are_trained_on(tmp_path: Path) -> None:
    made = {**npz(tmp_path), "order": "kept", "train_limit": 10, "normalise": "standard"}
    raw = np.load(tmp_path / "mine.npz")
    for validation, part in ((0, raw["x_test"]), (3, raw["x_train"][7:10])):
        own = raw["x_train"][: 10 - validation]
        data = formed(spec(made), validation)
        np.testing.assert_allclose(data.x_train, (own - own.mean(0)) / own.std(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(data.x_test, (part - own.mean(0)) / own.std(0), rtol=1e-4, atol=1e-5)
    ranged = formed(spec({**made, "normalise": "range"}))
    np.testing.assert_allclose([ranged.x_train.min(0), ranged.x_train.max(0)], [[0] * 4, [1] * 4], atol=1e-6)
    with pytest.raises(UserError, match="validation: holds out 10 of 10"):
        formed(spec(made), 10)


def test_images_are_normalised_by_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(np.array([0.0, 5.0])[:, None, None], 1.0, (12, 2, 3, 3))
    x[:, 1] = 4.0
    data = formed(spec({**npz(tmp_path, x_train=x, x_test=x[:6]), "normalise": "standard"}))
    assert data.x_train[:, 0].std() == pytest.approx(1.0, abs=1e-5)
    assert not data.x_train[:, 1].any(), "a channel that is the same everywhere is not divided by 0"


def test_a_part_held_out_is_fair_fixed_and_said(tmp_path: Path) -> None:
    y = np.repeat([0, 1, 2], [20, 10, 5])
    x = np.arange(35.0)[:, None]
    made = npz(tmp_path, x_train=x, y_train=y, x_test=None, y_test=None)
    data = formed(spec(made))
    assert list(np.bincount(data.y_test)) == [4, 2, 1]
    assert sorted([*data.x_train[:, 0], *data.x_test[:, 0]]) == list(range(35))
    assert "7 of 35 samples were held out" in data.note
    np.testing.assert_array_equal(y[data.x_train[:, 0].astype(int)], data.y_train)
    kept = npz(tmp_path, x_train=x, y_train=np.arange(35) % 3, x_test=None, y_test=None)
    last = formed(spec({**kept, "order": "kept", "test_fraction": 0.1}))
    assert list(last.x_test[:, 0]) == [31, 32, 33, 34]


def test_classes_by_name_and_classes_without_test_samples(tmp_path: Path) -> None:
    data = formed(spec({**npz(tmp_path, classes=np.array(["cat", "dog"]), y_test=np.zeros(6, int))}))
    assert data.classes == ("cat", "dog")
    assert "the test part has no samples of class 'dog'" in data.note
    text = formed(spec(npz(tmp_path, y_train=np.array(["b", "a"] * 6), y_test=np.array(["a", "b"] * 3))))
    assert text.classes == ("a", "b")


NAN = np.full((12, 4), 1.0)
NAN[5, 2] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": NAN}, "x_train: 1 samples hold NaN, infinity .* first 5"),
        ({"x_train": np.full((12, 4), 1e300)}, "more than float32 holds"),
        ({"x_train": np.array([object()])}, "not a readable .npz"),
        ({"x_train": np.zeros((12, 4), complex)}, "must be real numbers"),
        ({"x_train": np.zeros(12)}, "must be samples"),
        ({"x_train": np.zeros((0, 4)), "y_train": np.zeros(0, int)}, "must be samples of at least one number"),
        ({"x_test": np.zeros((6, 3))}, r"training part have shape \(4,\), of the test part \(3,\)"),
        ({"y_train": np.zeros(11, int)}, "must be 12 labels, one per sample"),
        ({"y_train": np.zeros(12, bool)}, "must be labels, whole numbers or texts, or floating-point"),
        (
            {"y_train": np.zeros(12)},
            "target 'target' is the same in all 12 training samples: there is nothing to learn",
        ),
        ({"y_train": np.arange(12.0), "y_test": np.ones(6)}, "the same in all 6 test samples: R2 compares"),
        ({"y_train": NAN[:, 2], "y_test": np.arange(6.0)}, "y_train: 1 targets are NaN, infinite .* first of sample 5"),
        (
            {"y_train": np.arange(12.0), "y_test": np.array(["a"] * 6)},
            "y_test: targets must be numbers, as in the other",
        ),
        (
            {"y_train": np.ones((12, 2, 2)), "y_test": np.arange(6.0)},
            r"targets of 12 samples, of shape \(12,\) or \(12, n\)",
        ),
        ({"y_train": np.ones((12, 2)), "y_test": np.ones((6, 3))}, "y_train has 2 targets a sample, y_test 3"),
        ({"y_train": np.arange(12.0), "classes": np.array(["a", "b"])}, "numbers to be predicted .* allowed: targets"),
        ({"targets": np.array(["a", "b"])}, "holds labels of classes .* allowed: classes .got targets"),
        ({"y_train": np.arange(12.0), "targets": np.array(["a", "b"])}, "2 names for 1 targets a sample"),
        ({"y_train": np.array(["a", "b"] * 6)}, "texts in one part"),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)}, "needs at least 2 classes"),
        ({"y_train": np.zeros(12, int)}, "the training part has no samples of class '1'"),
        ({"classes": np.array(["a"])}, "labels must be 0 to 0"),
        ({"classes": np.array([1.0, 2.0])}, "classes: must be a list of texts"),
        ({"y_test": None}, "arrays missing: y_test"),
        ({"x_test": None, "y_test": None, "y_train": np.arange(12)}, "class '0' has one sample"),
    ],
)
def test_arrays_that_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        formed(spec(npz(tmp_path, **change)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,class\n1,x\nlow,y\n", "line 3: column 'a' must be a finite number .got 'low'"),
        ("a,class\n1,x\nnan,y\n", "line 3: column 'a' must be a finite number"),
        ("a,class\n1,x\n2\n", "line 3: has 1 columns, the line of names 2"),
        ("a,class\n1,x\n2,\n", "line 3: column 'class' is empty"),
        ("a,klass\n1,x\n", "no column 'class', did you mean 'klass'"),
        ("a,a,class\n1,2,x\n", "two columns of the same name: a"),
        ("class\nx\n", "at least one"),
        ("a,class\n", "needs a line of names and at least one sample"),
    ],
)
def test_tables_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        formed(spec({"csv": str(tmp_path / "data.csv"), "label": "class"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "class", "target": "a"}, "label: give exactly one of label .a class. and target"),
        ({}, "label: give exactly one of label"),
        ({"target": "price"}, "no column 'price'; allowed: a, b, class"),
        ({"target": "class"}, "line 2: column 'class' must be a finite number .got 'x'"),
        ({"target": "a", "columns": ["a", "b"]}, "must be others than the target 'a'"),
        ({"target": ["b"], "columns": ["a"]}, "line 3: column 'b' must be a finite number .got 'nan'"),
    ],
)
def test_targets_of_a_table_that_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b,class\n1,2,x\n3,nan,y\n", encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        formed(spec({"csv": str(tmp_path / "data.csv"), **change}))
    assert str(caught.value).count("\n") <= 1, "a message of the configuration has a head line"


def test_numeric_targets_are_normalised_by_the_samples_that_are_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    y, other = rng.normal([[5.0, -2.0]], [[0.1, 30.0]], (12, 2)), rng.normal(9.0, 4.0, (6, 2))
    made = {**npz(tmp_path, y_train=y, y_test=other, targets=np.array(["mass", "heat"])), "order": "kept"}
    for validation, part in ((0, other), (4, y[8:])):
        own = y[: 12 - validation]
        data = formed(spec(made), validation)
        assert data.targets is not None
        assert (data.outputs, data.classes) == (("mass", "heat"), ())
        np.testing.assert_allclose(data.y_train, (own - own.mean(0)) / own.std(0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(data.y_test * data.targets.scale + data.targets.offset, part, rtol=1e-5)
    assert data.y_train.dtype == np.float32


def test_a_part_of_numbers_is_held_out_at_random_and_the_same_every_time(tmp_path: Path) -> None:
    x, y = np.arange(40.0)[:, None], np.arange(40.0) ** 2
    made = npz(tmp_path, x_train=x, y_train=y, x_test=None, y_test=None)
    data = formed(spec(made))
    assert (len(data.x_train), len(data.x_test)) == (32, 8)
    assert sorted([*data.x_train[:, 0], *data.x_test[:, 0]]) == list(range(40))
    assert "drawn with seed 0)" in data.note
    last = formed(spec({**made, "order": "kept"}))
    assert list(last.x_test[:, 0]) == list(range(32, 40))


def test_whole_numbers_of_a_table_are_in_their_order(tmp_path: Path) -> None:
    lines = "".join(f"{k};{label}\n" for k, label in enumerate([10, 9, 10, 9]))
    (tmp_path / "data.csv").write_text("a;class\n" + lines, encoding="utf-8")
    data = formed(spec({"csv": str(tmp_path / "data.csv"), "label": "class", "delimiter": ";", "test_fraction": 0.5}))
    assert data.classes == ("9", "10")


def test_pictures_with_a_test_part_and_pictures_that_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for part in ("train", "test"):
        shutil.copytree(OWN_DATA / "pictures", folder / part)
    data = formed(spec({"images": str(folder)}))
    assert (data.shape, data.classes) == ((1, 4, 5), ("low", "middle"))
    assert data.note.startswith("pictures: 6 of 6 test samples are training samples too")
    assert len(data.x_train) == len(data.x_test) == 6
    assert data.x_train[data.y_train == 1].min() > data.x_train[data.y_train == 0].max() * 0.9
    (folder / "train" / "low" / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"notes.txt: is not a picture"):
        formed(spec({"images": str(folder)}))
    (folder / "train" / "low" / "notes.txt").rename(folder / "train" / "low" / "notes.png")
    with pytest.raises(UserError, match=r"notes.png: cannot be read as a picture"):
        formed(spec({"images": str(folder)}))
    from PIL import Image

    Image.new("L", (6, 4)).save(folder / "train" / "low" / "notes.png")
    with pytest.raises(UserError, match=r"has 4 x 6 pixels and 1 channels, but .* has 4 x 5"):
        formed(spec({"images": str(folder)}))
    with pytest.raises(UserError, match="must be a folder with a folder of pictures"):
        formed(spec({"images": str(tmp_path / "nowhere")}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('disk\\nfull')", "failed: RuntimeError: disk full"),
        ("return 1", "returned a int; allowed"),
        ("return {'x': 1}", "returned x; allowed"),
        ("return [[1.0], [1.0, 2.0]], [0, 1]", "samples differ in shape|must be real numbers"),
    ],
)
def test_functions_that_are_refused(body: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"def load():\n    {body}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        formed(spec({"factory": f"{tmp_path / 'mine.py'}:load"}))
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_define_the_function(tmp_path: Path) -> None:
    for reference, message in (("my_data.py:lood", "defines no function"), ("my_data.py", "must be FILE.py:FUNCTION")):
        with pytest.raises(UserError, match=message):
            formed(spec({"factory": str(OWN_DATA / reference)}))
    with pytest.raises(UserError, match="no such file"):
        formed(spec({"factory": f"{tmp_path}/none.py:load"}))


def test_paths_are_relative_to_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(OWN_DATA, tmp_path / "lab")
    monkeypatch.chdir("/")
    for value in (
        "{file: mine.npz}",
        "{csv: mine.csv, label: class}",
        "{images: pictures}",
        "{factory: 'my_data.py:load'}",
    ):
        (tmp_path / "lab" / "run.yaml").write_text(f"dataset: {value}\n", encoding="utf-8")
        assert len(formed(load_config(tmp_path / "lab" / "run.yaml", Holder).dataset).x_train) > 0


def test_data_that_change_are_read_again_and_have_another_identity(tmp_path: Path) -> None:
    seen = [
        data_parts(formed(spec(npz(tmp_path, **change))))
        for change in (
            {},
            {"y_train": np.arange(12)[::-1] % 2},
            {"x_test": np.ones((6, 4))},
            {"classes": np.array(["a", "b"])},
        )
    ]
    train, test = seen[0]
    assert seen[1][train] != seen[0][train]
    assert seen[1][test] == seen[0][test]
    assert (seen[2][train] == seen[0][train], seen[2][test] == seen[0][test]) == (True, False)
    assert seen[3][train] != seen[0][train]


def test_a_worker_whose_function_gives_other_data_stops(tmp_path: Path) -> None:
    from learning.experiments.training.data import same_data, training_data

    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef load():\n    return np.random.rand(8, 2), np.arange(8) % 2\n", encoding="utf-8"
    )
    data = spec({"factory": f"{tmp_path / 'mine.py'}:load"})
    first = training_data(data, 0)
    same_data(first, first.source)
    again = training_data(data.model_copy(update={"train_limit": 4}), 0)
    with pytest.raises(UserError, match=r"training images of 'mine.py:load'.*not what the run was started with"):
        same_data(again, first.source)


def test_what_is_not_an_archive_or_holds_objects_is_told_without_advice_to_unpickle(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError, match=r"text.npz: not a readable .npz file of plain arrays \(not a NumPy archive\)$"):
        formed(spec({"file": str(tmp_path / "text.npz")}))
    ragged = np.array([[1.0, 2.0], [3.0]], dtype=object)
    with pytest.raises(
        UserError, match=r"array 'x_train' holds Python objects, .* make it an array of numbers or texts"
    ):
        formed(spec(npz(tmp_path, x_train=ragged)))


def test_test_samples_that_were_trained_on_are_counted(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(12, 4))
    assert "training samples too" not in formed(spec(npz(tmp_path))).note
    note = formed(spec(npz(tmp_path, x_train=x, x_test=np.concatenate([x[:2], x[8:] + 1.0])))).note
    assert "mine.npz: 2 of 6 test samples are training samples too" in note


def test_hints_of_the_usual_mistakes(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a;b\n1;2\n")
    with pytest.raises(UserError, match=r"no column 'b'; allowed: a;b \(one column: dataset.delimiter: ';'\?\)"):
        formed(spec({"csv": str(table), "label": "b"}))
    table.write_text("a,b\n" + "".join(f"{k},{k / 7:.3f}\n" for k in range(9)))
    with pytest.raises(UserError, match=r"9 classes of 9 samples: are these numbers to be predicted\?"):
        formed(spec({"csv": str(table), "label": "b"}))
    with pytest.raises(UserError, match=r"needs at least 2 classes \(got 1: '0'\)"):
        formed(spec(npz(tmp_path, y_train=np.zeros(12, int), y_test=np.zeros(6, int))))
