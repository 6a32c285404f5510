"""Read noise that differs from cell to cell: found where it is, at its size, and not invented where it is not."""

from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.fit.noise.series import Series, of_like_states
from devices.measurements.fit.noise.spread import FALSE_ALARM, noise_spread
from devices.measurements.pipeline.pipeline import fit_measurements

US = 1e-6


def series_of(rng: np.random.Generator, cells: int, reads: int, spread: float) -> list[Series]:
    """White and slow noise over four times the state, of cells whose noise spreads by so much."""
    found = []
    for k in range(cells):
        g = rng.uniform(5.0, 40.0) * US
        std = np.hypot(0.01 * g, 0.1 * US) * np.exp(spread * rng.normal())  # no power law of the state
        slow = np.cumsum(rng.normal(size=reads)) / np.sqrt(reads)  # its variance scatters most by chance
        found.append(Series(g + std * (rng.normal(size=reads) + slow - slow.mean()), 0.01, k))
    return found


def test_a_spread_is_found_at_its_size() -> None:
    """60 draws: the interval of 95 % holds the truth in 51 or more but for a chance of 0.001 (binomial: 60, 0.95)."""
    held = 0
    for seed in range(60):
        found = noise_spread(series_of(np.random.default_rng(seed), 60, 1024, 0.6))
        assert found is not None
        held += found.low <= 0.6 <= found.high
    assert held >= 51


def test_none_is_invented() -> None:
    """400 draws without a spread, each alarms with 0.001: more than three alarms have a chance of 0.0008."""
    alarms = [noise_spread(series_of(np.random.default_rng(1000 + k), 24, 512, 0.0)) for k in range(400)]
    assert FALSE_ALARM == 1e-3
    assert sum(found is not None for found in alarms) <= 3


def test_few_or_silent_cells_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    assert noise_spread(series_of(rng, 11, 1024, 0.8)) is None
    assert noise_spread([Series(np.full(1024, 1e-5), 0.01, k) for k in range(30)]) is None


def watched(card: DeviceCard, cells: int, reads: int) -> np.ndarray:
    """(cells, reads) siemens: emulated cells of one state, read again and again."""
    chip = EmulatedCrossbar(card.compile(), 1, cells, pair=False, streams=Streams(3), clock=Clock())
    chip.program(np.full((1, 1, cells), 20 * US, np.float32))
    return np.array([chip.read_conductance()[0, 0] for _ in range(reads)]).T


@pytest.mark.jit
@pytest.mark.parametrize("spread", [0.5, 0.0])
def test_a_known_card_comes_back(spread: float, tmp_path: Path) -> None:
    """The part is on the card where the chip has it, of its size within the stated interval, and the proof holds with it."""
    true = validate(
        {
            "name": "known",
            "g_min": "2 uS",
            "g_max": "40 uS",
            "read_noise": {"kind": "constant", "std": "0.1 uS"},
            "variation": {"read_noise": spread},
        },
        DeviceCard,
    )
    reads = watched(true, 40, 1024)
    np.savetxt(tmp_path / "reads.csv", 1e6 * reads, delimiter=",", fmt="%.7g")
    reader = {
        "kind": "noise_series",
        "path": str(tmp_path / "reads.csv"),
        "sample_rate": "100 Hz",
        "unit": "uS",
    }
    window = {"g_min": "2 uS", "g_max": "40 uS"}
    config = validate({"name": "found", "measurements": [reader], "window": window}, MeasurementConfig)
    result = fit_measurements(config, tmp_path / "out")
    made = load_card(result.card)
    assert result.noise is not None
    found = result.noise.fit.spread
    if not spread:
        assert found is None
        assert made.variation.read_noise == 0.0
        return
    assert found is not None
    assert found.low <= spread <= found.high
    assert made.variation.read_noise == pytest.approx(found.value, rel=1e-3)
    assert any("read noise differs from cell to cell" in note for note in result.notes)
    assert result.proofs[0].verdict in ("good", "fair"), result.proofs[0].sentence()
    drawn = reads.var(axis=1).mean() ** 0.5  # the mean square over these cells
    assert float(made.read_std(20 * US, 1.0)) == pytest.approx(drawn, rel=0.03)


def test_series_of_one_state_are_one_group() -> None:
    """Cut apart, differences between cells would be put on the card as a dependence on the state."""
    levels = [20.0 + 0.01 * k for k in range(30)] + [5.0, 10.0]
    assert [sorted(group) for group in of_like_states(levels, 9)][-1] == list(range(2, 30))
    assert of_like_states([3.0, 1.0, 2.0], 3) == [[1], [2], [0]]
