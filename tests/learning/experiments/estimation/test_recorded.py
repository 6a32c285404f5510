"""An estimate that is recorded: a replay of its folder gives the same bits, and a chip that was killed half-way is gone on with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from estimate_helpers import silent, small

from analog_sim.chip.backend import RECORD
from analog_sim.config import UserError
from learning.experiments.estimation.chip import folder_name
from learning.experiments.estimation.run import CHIPS, estimate
from learning.experiments.estimation.studies import Variant, variants
from learning.experiments.runs.result_log import Row

SEALED = {"kind": "sealed", "record": True}
STUDY = {"chips": 1, "sweeps": [{"set": "tile.adc.bits", "values": [6]}]}


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "recorded-cache"))
    monkeypatch.setattr(
        "learning.experiments.estimation.run.write_estimate_report", lambda run, results: run.path / "report.html"
    )


def run(out: Path, chip: dict[str, Any], **options: Any) -> list[Row]:
    experiment = small(chip=chip, chips=2, sensitivity=STUDY)
    return list(estimate(experiment, out=out, say=silent, progress=False, **options).results.rows)


def test_a_replay_of_the_run_and_a_killed_chip_give_the_same_bits(tmp_path: Path) -> None:
    rows = run(tmp_path / "whole", SEALED)
    names = {path.parent.name for path in (tmp_path / "whole" / CHIPS).rglob(RECORD)}
    assert names == {"snapshot", "nominal-0", "nominal-1", "adc_bits-6-0"}
    assert run(tmp_path / "again", {"kind": "replay", "record": str(tmp_path / "whole")}) == rows
    assert rows == run(tmp_path / "without", {"kind": "sealed"})
    assert not (tmp_path / "without" / CHIPS).exists()

    log, record = tmp_path / "whole" / "metrics.csv", tmp_path / "whole" / CHIPS / "nominal-1" / RECORD
    log.write_text("".join(line for line in log.read_text().splitlines(True) if not line.startswith("nominal,,1,")))
    told = record.read_bytes()
    record.write_bytes(told[: len(told) // 2])
    assert run(tmp_path / "whole", SEALED, resume=True) == rows
    assert len(record.read_bytes()) == len(told)


def test_a_chip_that_the_recorded_run_has_not_is_named(tmp_path: Path) -> None:
    run(tmp_path / "whole", SEALED)
    (tmp_path / "whole" / CHIPS / "nominal-1" / RECORD).unlink()
    with pytest.raises((UserError, RuntimeError), match=r"none of them is of chips/nominal-1"):
        run(tmp_path / "again", {"kind": "replay", "record": str(tmp_path / "whole")})


def test_every_chip_has_a_folder_of_its_own() -> None:
    values = ["-1", "1", "1/2", "1:2", "a" * 70 + "b", "a" * 70 + "c", "µ", "u"]
    found = [variants(small())[0], *(replaced(value) for value in values)]
    names = [folder_name(variant, number) for variant in found for number in (0, 1)]
    assert names[:2] == ["nominal-0", "nominal-1"]
    assert len(set(map(str.casefold, names))) == len(names)
    assert all(name.isascii() and "/" not in name and len(name) < 100 for name in names)


def replaced(value: str) -> Variant:
    return replace(variants(small())[0], study="sweep", value=value)
