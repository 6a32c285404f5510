"""docs/add_a_device.md does what it says: its card loads, its law compiles and keeps its claims, its tables list what exists."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cards_helpers import FIELDS

from analog_sim.config import Part, discover, validate
from devices.card import DeviceCard, load_card
from devices.pulse.law import PulseLaw

PAGE = Path(__file__).resolve().parents[2] / "docs/add_a_device.md"


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == 1, f"one {language} block on the page"
    return str(found[0])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's law, imported from a file of its own."""
    path = tmp_path / "quadratic_step.py"
    path.write_text(block("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("quadratic_step", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "quadratic_step", loaded)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_card_loads(tmp_path: Path) -> None:
    path = tmp_path / "my_cell.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    card = load_card(path)
    cell = card.compile()
    assert (cell.name, cell.g_min, cell.g_max) == ("my_cell", pytest.approx(2e-6), pytest.approx(80e-6))
    assert cell.pulse is not None
    up, down = cell.pulse.mean_step(0.5)
    assert up == pytest.approx(0.9 * 78e-6 / 150 / 2)
    assert down == pytest.approx(-1.1 * 78e-6 / 150 / 2)


def test_the_law_compiles_and_keeps_its_claims(module: ModuleType) -> None:
    row = re.search(r'"quadratic_step": \[(\{.*?\})\]', PAGE.read_text(encoding="utf-8"))
    assert row is not None
    numbers = {name: float(value) for name, value in re.findall(r'"(\w+)": ([\d.]+)', row[1])}
    law = module.QuadraticStep.model_validate({"kind": "quadratic_step", **numbers})
    assert isinstance(law, PulseLaw)
    card = validate({"name": "x", "g_max": 30, "pulse": law}, DeviceCard)
    u = np.linspace(0, 1, 257)
    cell = card.compile()
    assert cell.pulse is not None
    expected = 30e-6 / 60 * (1 - 0.7 * u**2)
    np.testing.assert_allclose(card.step_mean(u, True), expected)
    np.testing.assert_allclose(cell.pulse.up_mean[0], expected, rtol=1e-6)
    np.testing.assert_allclose(cell.pulse.down_std[0], 0.3 * expected[::-1], rtol=1e-6)
    assert module.__doc__


@pytest.mark.parametrize("package", FIELDS)
def test_the_table_lists_every_kind(package: str) -> None:
    line = re.search(rf"^\| `{FIELDS[package]}` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    assert set(re.findall(r"`(\w+)`", line[1])) == set(discover(package, Part))
