"""The stages of a fit: each quantity has one, in the order of their fits, and a card in memory is the card of its files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.config import ConfigError, validate
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.ageing_stage import AgeingStage
from devices.measurements.pipeline.composition import moved
from devices.measurements.pipeline.distribution_stage import DistributionStage
from devices.measurements.pipeline.noise_stage import NoiseStage
from devices.measurements.pipeline.pipeline import stages_of, window_of_reads
from devices.measurements.pipeline.programming_stage import FittedProgramming, ProgrammingStage
from devices.measurements.pipeline.pulse_stage import PulseStage
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.text.problems import MeasurementError
from devices.tables_file import DeviceTables
from devices.window import Window

FILES = Path(__file__).parents[1] / "files"
US = 1e-6


def config(*kinds: dict[str, Any], **more: Any) -> MeasurementConfig:
    readers = [{**reader, "path": str(FILES / reader["path"])} for reader in kinds]
    return validate({"name": "x", "measurements": readers, **more}, MeasurementConfig)


RECORD = {"kind": "operations", "path": "operations.record"}
SERIES = {"kind": "noise_series", "path": "noise_series.tsv", "sample_rate": "100 Hz", "leading": 2}
DISTRIBUTION = {"kind": "step_distribution", "path": "step_distribution.txt", "direction": "up"}


def test_every_quantity_has_its_stage() -> None:
    asked = config(RECORD, SERIES)
    stages = stages_of(read_measurements(asked, lambda text: None), asked)
    assert [type(stage) for stage in stages] == [PulseStage, ProgrammingStage, AgeingStage, NoiseStage]
    assert stages[0].reads is None, "the fit of the pulses finds the window"
    window = window_of_reads(stages[1:])
    assert 8 * US < window.g_min < 11 * US
    assert 24 * US < window.g_max < 30 * US
    alone = config(DISTRIBUTION)
    assert [type(s) for s in stages_of(read_measurements(alone, lambda text: None), alone)] == [DistributionStage]
    both = config(RECORD, DISTRIBUTION)
    with pytest.raises(MeasurementError, match="fit them as two cards"):
        stages_of(read_measurements(both, lambda text: None), both)


def parts() -> CardParts:
    made = CardParts("x", "", Window(2.123456789012 * US, 40 * US))
    made.measured("programming", {"std": np.linspace(0.1, 0.3, 7) * US})
    made.measured("read_noise", {"white": np.full(5, US / 3), "flicker": np.zeros(5), "t_read": 1.1e-6})
    made.parts["faults"] = {"stuck_low": 1.0 / 3.0}
    return made


def test_a_card_in_memory_is_that_of_its_files(tmp_path: Path) -> None:
    extra = {"cost": {"t_pulse": "100 ns"}, "read_noise": {"kind": "none"}}
    memory = parts().card(extra)
    file = load_card(write_card(tmp_path, parts(), extra))
    assert (memory.g_min, memory.g_max, memory.cost, memory.faults) == (file.g_min, file.g_max, file.cost, file.faults)
    assert memory.read_noise.kind == file.read_noise.kind == "none"
    one, other = memory.compile(), file.compile()
    np.testing.assert_array_equal(one.program_std, other.program_std)
    whole = parts().compile(), load_card(write_card(tmp_path, parts(), {})).compile()
    np.testing.assert_array_equal(whole[0].read.white, whole[1].read.white)
    assert whole[0].read.t_read == whole[1].read.t_read
    with pytest.raises(ConfigError, match="card x: "):
        parts().card({"cost": {"t_pulse": "3 V"}})


def test_a_table_is_moved_to_another_window_at_equal_conductances() -> None:
    """The card of the best law has its law's window; its other tables once kept the states of the first card's."""
    old, new = Window(2 * US, 42 * US), Window(0.0, 50 * US)
    table = np.linspace(0.1, 0.5, 5) * US  # 0.1 uS at 2 uS, 0.01 per uS
    other = np.asarray(moved(table, old, new))
    np.testing.assert_allclose(np.interp(np.array([12.5, 37.5]) * US, new.grid(5), other), [0.205 * US, 0.455 * US])
    assert other[[0, -1]].tolist() == pytest.approx([0.1 * US, 0.5 * US])
    assert moved(1.5, old, new) == 1.5


def test_tables_in_memory_are_checked_as_those_of_a_file() -> None:
    with pytest.raises(ValueError, match=r"tables of x: array 'a\.b' is not finite"):
        DeviceTables.of("x", Window(0.0, US), {"a.b": [np.nan, 1.0]})
    tables = DeviceTables.of("x", Window(0.0, US), {"a.b": [0.0, 1.0]})
    assert tables.arrays["a.b"].dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        tables.arrays["a.b"][0] = 1.0


@pytest.mark.jit
def test_stuck_cells_are_those_with_a_target() -> None:
    """Rows without a target once shifted the numbers of the cells that were left out of the proof as stuck."""
    rng = np.random.default_rng(3)
    target = np.tile(np.linspace(5, 35, 8) * US, 30)
    result = target + rng.normal(0.0, 0.2 * US, len(target))
    target[::3] = np.nan
    stuck = np.flatnonzero(np.isfinite(target))[[5, 50, 100]]
    result[stuck] += 20 * US
    asked = config(SERIES)
    found = ProgrammingStage(asked, target, result, True).fit(Window(2 * US, 60 * US), (), lambda text: None)
    assert isinstance(found, FittedProgramming)
    assert found.fit is not None
    assert found.fit.stuck.tolist() == stuck.tolist()
    proof = found.prove(lambda text: None)
    assert proof is not None
    assert proof.verdict != "bad"
    assert max(b.std[0] for b in proof.bins) < 0.4 * US, "a stuck cell left in is a hundred standard deviations off"
