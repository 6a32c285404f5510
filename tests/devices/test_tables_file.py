"""The tables beside a measured card: a damaged or wrong file is one line that names it."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from analog_sim.config import UserError
from devices.card import load_card
from devices.tables_file import FORMAT, load_tables


@pytest.mark.parametrize("kind", [str, complex, object])
def test_tables_of_a_card_must_be_numbers(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "t.npz"
    table = np.ones(5).astype(kind)
    np.savez(path, **{"format": np.array(FORMAT), "window": np.array([0.0, 1e-5]), "read_noise.white": table})
    with pytest.raises(ValueError, match=r"t.npz: (array 'read_noise.white' must hold numbers|not a NumPy archive)"):
        load_tables(path)


def test_damaged_tables_end_with_the_line_of_the_card(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", a=np.random.default_rng(0).normal(size=400))
    content = (tmp_path / "t.npz").read_bytes()
    (tmp_path / "t.npz").write_bytes(content[:200] + b"\xff" * 40 + content[240:])
    noise = {"kind": "measured", "file": "t.npz"}
    card = {"schema": "card/1", "name": "x", "window": {"g_min": "1 uS", "g_max": "9 uS"}, "read_noise": noise}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(UserError, match=r"x.yaml:\d+: read_noise.*t.npz: not a NumPy archive"):
        load_card(str(tmp_path / "x.yaml"))
