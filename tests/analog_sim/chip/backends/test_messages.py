"""What is wrong with a chip that a file names is one line, whoever is to blame for it."""

from pathlib import Path

import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backends.factory import FactoryChip
from analog_sim.chip.backends.replay import Replay
from analog_sim.chip.clock import Clock
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from devices.card import load_card

CODE = """
number = 3
def nothing(cell, streams, clock, folder): return None
def breaks(cell, streams, clock, folder): raise KeyError("port")
def fewer(cell): return None
"""


@pytest.fixture
def cell() -> CellModel:
    return load_card("ideal").compile()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "is a int, not a function"),
        ("nothing", r"must return an analog_sim.chip.fabric.Fabric \(got NoneType\)"),
        ("breaks", "failed: KeyError: 'port'"),
        ("fewer", "failed: TypeError: "),
        ("nothin", r"has no 'nothin', did you mean 'nothing'\?"),
    ],
)
def test_a_factory(name: str, message: str, tmp_path: Path, cell: CellModel) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    with pytest.raises(UserError, match=message) as caught:
        FactoryChip(factory=f"{tmp_path}/mine.py:{name}").fabric(cell, Streams(0), Clock(), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", ["import nowhere_at_all", "1 / 0", "def f(:", "raise SystemError('a\\nb')"])
def test_a_file_that_cannot_be_executed(code: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(UserError, match="cannot be imported") as caught:
        FactoryChip(factory=f"{tmp_path}/mine.py:f").check()
    assert "\n" not in str(caught.value)


def test_a_replay_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"chip\.record: no such file or folder: .*nowhere"):
        Replay(record=tmp_path / "nowhere").check()
    with pytest.raises(UserError, match=r"holds no operations\.record; was the run recorded"):
        Replay(record=tmp_path).check()
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UserError, match="the record is empty"):
        Replay(record=tmp_path / "empty").check()
