"""The code of a model is its file and all of the user's that it imports: always as it is on the disk now, and in the digest."""

from pathlib import Path

import pytest

from analog_sim.config import UserError
from learning.torch_bridge.source import FileSource
from learning.torch_bridge.user_models.load_model import load_factory
from learning.torch_bridge.user_models.model_code import model_code

MODEL = "from torch import nn\nfrom hil_width import WIDTH\ndef build(): return nn.Linear(4, WIDTH)\n"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name.replace('_of_', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "m.py"


def width(path: Path) -> int:
    return int(load_factory(f"{path}:build").out_features)


def test_an_edited_helper_is_another_model(tmp_path: Path) -> None:
    """The same length, within the same second: too fast for Python's own compiled copies."""
    path = write(tmp_path, m=MODEL, hil_width="WIDTH = 3\n")
    source = FileSource(path, "build")
    first = source.identity()
    assert width(path) == 3
    assert source.identity() == first
    write(tmp_path, hil_width="WIDTH = 5\n")
    assert source.identity() != first
    assert width(path) == 5
    assert not list(tmp_path.glob("__pycache__"))


def test_namesakes_in_two_folders(tmp_path: Path) -> None:
    one = write(tmp_path / "one", m=MODEL, hil_width="WIDTH = 3\n")
    two = write(tmp_path / "two", m=MODEL, hil_width="WIDTH = 5\n")
    assert [width(one), width(two), width(one)] == [3, 5, 3]
    assert model_code(one)["hil_width.py"] != model_code(two)["hil_width.py"]
    assert model_code(one)["m.py"] == model_code(two)["m.py"]


def test_every_way_of_importing_is_followed(tmp_path: Path) -> None:
    far = tmp_path / "far"
    write(far, hil_far="import hil_farther\n", hil_farther="X = 1\n")
    path = write(
        tmp_path / "near",
        m=(
            f"import sys, importlib, os.path, numpy as np, torch.nn as nn\nsys.path.insert(0, {str(far)!r})\n"
            "import hil_pkg.inner, hil_far\nhil_dynamic = importlib.import_module('hil_' + 'dynamic')\n"
            "def build():\n    from hil_late import X\n    return nn.Linear(4, X)\n"
        ),
        hil_pkg_of___init__="from . import beside\n",
        hil_pkg_of_inner="from .beside import X\nfrom hil_pkg import beside as again\n",
        hil_pkg_of_beside="X = 1\n",
        hil_dynamic="X = 1\n",
        hil_late="X = 3\n",
        hil_unused="X = 1\n",
    )
    found = model_code(path)
    names = ["hil_dynamic.py", "hil_late.py", "hil_pkg/__init__.py", "hil_pkg/beside.py", "hil_pkg/inner.py", "m.py"]
    assert sorted(found) == sorted([str(far / "hil_far.py"), str(far / "hil_farther.py"), *names])
    assert width(path) == 3
    assert all(len(digest) == 64 for digest in found.values())


def test_this_program_and_installed_packages_have_versions_and_no_digest(tmp_path: Path) -> None:
    path = write(tmp_path, m="import torch, numpy, json, learning.torch_bridge.arrays\nbuild = torch.nn.Flatten\n")
    assert list(model_code(path)) == ["m.py"]


def test_a_helper_that_was_mended_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, m="import hil_good, hil_width\n" + MODEL, hil_good="", hil_width="WIDTH = oops\n")
    with pytest.raises(UserError, match="cannot be imported: NameError"):
        load_factory(f"{path}:build")
    write(tmp_path, hil_width="WIDTH = 7\n")
    assert width(path) == 7


def test_moving_the_folder_is_no_change(tmp_path: Path) -> None:
    path = write(tmp_path / "here", m=MODEL, hil_width="WIDTH = 3\n")
    before = model_code(path)
    (tmp_path / "here").rename(tmp_path / "there")
    assert model_code(tmp_path / "there" / "m.py") == before
