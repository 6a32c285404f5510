"""A chip's record as a measurement: every read is sorted by what came before it, and a fitted card is the card of the chip."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.chip.record.taped import TapedFabric, recording
from analog_sim.chip.sealed import SealedFabric
from analog_sim.config import validate
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.pipeline.pulse_stage import FittedPulse
from devices.measurements.readers.operations import SERIES, OperationRecord
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text.problems import MeasurementError

US = 1e-6
Script = Callable[[Crossbar], None]


def card(**parts: Any) -> DeviceCard:
    keys = {"name": "known", "g_min": "2 uS", "g_max": "40 uS", **parts}
    keys.setdefault("cost", {"t_read": "1 us", "t_pulse": "1 us", "t_program": "10 us", "v_read": "0.1 V"})
    return validate(keys, DeviceCard)


def recorded(folder: Path, true: DeviceCard, shape: tuple[int, int], *scripts: Script, pair: bool = False) -> Path:
    """The record of a scripted session on a sealed chip of emulated cells, one array for every script."""
    path = folder / "operations.record"
    chip: Fabric = SealedFabric(EmulatedFabric(true.compile(), Streams(5), Clock()))
    fabric: TapedFabric = recording(chip, path, {"card": true.name}, remembers=False)
    for number, script in enumerate(scripts):
        script(fabric.crossbar(("lab", number), *shape, pair=pair))
    fabric.record.close()
    return path


def read(path: Path, **settings: Any) -> Measurements:
    sink = Sink()
    OperationRecord(path=(str(path),), **settings).read(sink)
    return sink.measurements()


def fit(path: Path, out: Path, **settings: Any) -> FitResult:
    readers = [{"kind": "operations", "path": str(path)}]
    config = validate({"name": "found", "measurements": readers, **settings}, MeasurementConfig)
    return fit_measurements(config, out)


def one(count: int) -> PulseCounts:
    return PulseCounts(np.full((1, 2, 2), count, np.int16))


def everything(chip: Crossbar) -> None:
    """Two by two cells: programmed and read, waited, pulsed, one programmed again, waited."""
    target = np.array([[[10, 20], [30, 5]]], np.float32) * np.float32(US)
    chip.program(target)
    chip.read_conductance()
    chip.wait(1.0)
    chip.read_conductance()
    for count in (1, 2, -3):
        chip.pulse(one(count))
        chip.read_conductance()
    chip.pulse(one(1))
    chip.pulse(one(-1))
    chip.read_conductance(slice(0, 1))
    chip.program(target, np.array([[[False, False], [False, True]]]))
    chip.read_conductance(slice(1, 2))
    chip.mvm(np.ones((1, 2), np.float32) * 0.1)
    chip.wait(2.0)
    chip.read_conductance()


def test_reads_are_sorted_by_what_came_before(tmp_path: Path) -> None:
    found = read(recorded(tmp_path, card(pulse={"kind": "linear_step", "step": "0.5 uS"}), (2, 2), everything))
    assert any("1 reads of whole vectors" in line for line in found.log.lines())
    programming = found.tables["programming"]
    np.testing.assert_allclose(programming.target_S, np.array([10, 20, 30, 5, 5]) * US, rtol=1e-6)
    np.testing.assert_allclose(programming.conductance(), programming.target_S, rtol=1e-5)
    pulses = found.tables["pulses"]
    own = pulses.cell_col == 0
    assert pulses.op[own].tolist() == [Op.READ, *[Op.PULSE_READ] * 4]
    assert pulses.n_pulses[own].tolist() == [0, 1, 2, 3, 2]
    assert pulses.direction[own].tolist() == [0, 1, 1, -1, 0]
    assert (pulses.flag[own] & Flag.PULSE_UNKNOWN.value).tolist() == [0, 0, 0, 0, Flag.PULSE_UNKNOWN.value]
    np.testing.assert_allclose(pulses.conductance()[own][:4], np.array([10, 10.5, 11.5, 10]) * US, rtol=1e-5)
    rest = found.tables["retention"]
    again = (rest.cell_col == 3) & (rest.sequence == rest.sequence[rest.cell_col == 3].max())
    assert rest.t_s[again][0] == 0.0
    assert rest.t_s[again][1] == pytest.approx(2.0, abs=1e-3)
    assert rest.target_S[again].tolist() == pytest.approx([5 * US] * 2)
    waited = rest.cell_col == 0
    assert rest.t_s[waited][1] == pytest.approx(1.0, abs=1e-3), "after the programming"
    assert np.isnan(rest.target_S[waited][-1]), "from the last pulse on"
    assert rest.t_s[waited][-1] == pytest.approx(2.0, abs=1e-3)
    assert "noise" not in found.tables


def test_a_train_is_counted_by_its_coincidences(tmp_path: Path) -> None:
    train = PulseTrain(
        row_bits=np.array([[0b0111, 0b1000], [0b1111, 0]], np.uint64),
        col_bits=np.array([[0b0011, 0b1111], [0b1, 0]], np.uint64),
        row_sign=np.array([[1, -1], [1, 1]], np.int8),
        col_sign=np.array([[1, 1], [1, 1]], np.int8),
        length=4,
    )

    def script(chip: Crossbar) -> None:
        chip.read_conductance()
        chip.pulse(train)
        chip.read_conductance()

    true = card(pulse={"kind": "linear_step", "step": "0.5 uS"})
    pulses = read(recorded(tmp_path, true, (2, 2), script)).tables["pulses"]
    after = pulses.op == Op.PULSE_READ
    assert pulses.cell_col[after].tolist() == [0, 1, 3]
    assert (pulses.n_pulses * pulses.direction)[after].tolist() == [3, 3, -1]


def test_pairs_are_left_out_and_an_empty_choice_is_refused(tmp_path: Path) -> None:
    true = card()

    def script(chip: Crossbar) -> None:
        chip.read_conductance()

    path = recorded(tmp_path, true, (2, 2), script, pair=True)
    with pytest.raises(
        MeasurementError, match=r"operations.record: no array of single cells called \* \(arrays of the record: lab/0\)"
    ):
        read(path)
    with pytest.raises(MeasurementError, match="no array of single cells called other"):
        read(path, arrays=("other",))


def pulsed(chip: Crossbar) -> None:
    """Every cell is driven up and down between reads, from the lower end."""
    rows, cols = chip.info.rows, chip.info.cols
    chip.program(np.full((1, rows, cols), 4 * US, np.float32))
    chip.read_conductance()
    for _ in range(3):
        for sign in (1, -1):
            for _ in range(40):
                chip.pulse(PulseCounts(np.full((1, rows, cols), sign, np.int16)))
                chip.read_conductance()


@pytest.mark.jit
def test_a_pulsed_session_gives_the_card_back(tmp_path: Path) -> None:
    """The chip's own law and read noise, within the stated intervals (95 % each, of four numbers: alarm by chance 0.2)."""
    true = card(
        pulse={"kind": "linear_step", "step": "0.7 uS", "noise_additive": 0.3},
        read_noise={"kind": "constant", "std": "0.2 uS"},
    )
    result = fit(recorded(tmp_path, true, (3, 4), pulsed), tmp_path / "out", pulse={"laws": ["linear_step"]})
    assert isinstance(result.pulse, FittedPulse)
    law = result.pulse.fit.laws[0]
    middle = np.array([0.5])
    for up in (True, False):
        own = float(law.part.step_mean(law.window.state(21 * US), up, law.window))
        assert own == pytest.approx(float(true.step_mean(middle, up)[0]), rel=0.03)
    assert law.noise.white == pytest.approx(0.2 * US, rel=0.1)
    made = load_card(result.card)
    assert made.read_noise.kind == "constant"
    assert float(made.step_mean(made.window.state(21 * US), True)) == pytest.approx(0.7 * US, rel=0.05)


def rested(chip: Crossbar) -> None:
    """Cells are programmed over the window and read at growing times."""
    rows, cols = chip.info.rows, chip.info.cols
    target = np.linspace(5, 38, rows * cols).reshape(1, rows, cols) * US
    chip.program(target.astype(np.float32))
    chip.read_conductance()
    time = 0.0
    for t in (1.0, 10.0, 1e2, 1e3, 1e4):
        chip.wait(t - time)
        time = t
        chip.read_conductance()


def watched(chip: Crossbar) -> None:
    """Every cell is read 2000 times without a pause."""
    rows, cols = chip.info.rows, chip.info.cols
    chip.program(np.full((1, rows, cols), 20 * US, np.float32))
    for _ in range(2000):
        chip.read_conductance()


@pytest.mark.jit
def test_programming_retention_and_read_noise_of_one_record(tmp_path: Path) -> None:
    true = card(
        programming={"kind": "gaussian", "fraction": 0.02},
        drift={
            "kind": "relaxation",
            "mean": ["-0.3 uS"],
            "std": ["0.25 uS"],
            "t_0": "0.1 s",
            "reference_g_max": "40 uS",
        },
        read_noise={"kind": "constant", "std": "0.1 uS"},
    )
    path = recorded(tmp_path, true, (16, 20), rested)
    found = read(path)
    assert set(found.tables) == {"programming", "retention"}
    result = fit(path, tmp_path / "out", ageing="relaxation", window={"g_min": "2 uS", "g_max": "40 uS"})
    assert result.ageing is not None
    assert result.programming is not None
    assert result.programming.fit is not None
    wanted = np.hypot(float(true.program_std(20 * US)), 0.1 * US)  # the first read's noise is in it
    assert np.median(result.programming.fit.std) == pytest.approx(wanted, rel=0.15)
    made = load_card(result.card)
    states = np.array([0.3, 0.5, 0.7])
    np.testing.assert_allclose(made.aged_mean(states, 1e4), true.aged_mean(states, 1e4), atol=0.15 * US)
    np.testing.assert_allclose(made.aged_std(states, 1e4), true.aged_std(states, 1e4), rtol=0.2)


@pytest.mark.jit
def test_reads_without_a_pause_are_read_noise(tmp_path: Path) -> None:
    true = card(read_noise={"kind": "constant", "std": "0.1 uS"})
    path = recorded(tmp_path, true, (2, 2), watched)
    found = read(path)
    assert len(found.tables["noise"]) >= 4 * 1999 > SERIES
    result = fit(path, tmp_path / "out", window={"g_min": "2 uS", "g_max": "40 uS"})
    assert float(load_card(result.card).read_std(20 * US, 1.0)) == pytest.approx(0.1 * US, rel=0.05)
