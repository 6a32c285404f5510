"""What a card says of the amplitude and the width of pulses: tables, refusals, and what is left as it was without them."""

from typing import Any

import numpy as np
import pytest

from analog_sim.config import ConfigError, validate
from devices.card import DeviceCard

AMPLITUDE = {"nominal": "1.5 V", "volts": ["1 V", "1.5 V", "2 V"], "up": [0.2, 1.0, 3.0], "down": [0.0, 1.0, 2.0]}


def card(amplitude: dict[str, Any], **fields: Any) -> DeviceCard:
    pulse = {"kind": "soft_bounds", "states": 50, "amplitude": amplitude}
    return validate({"name": "x", "g_max": 20, "pulse": pulse, **fields}, DeviceCard)


def test_the_table_is_that_of_the_card() -> None:
    pulse = card(AMPLITUDE).compile().pulse
    assert pulse is not None
    assert pulse.amplitude is not None
    assert pulse.width is None
    np.testing.assert_allclose(
        pulse.amplitude.factors([0.0, 0.5, 1.0, 1.25, 1.5, 2.0]),
        [[0, 0.1, 0.2, 0.6, 1, 3], [0, 0, 0, 0.5, 1, 2]],
        atol=1e-7,
    )


def test_directions_of_their_own_amplitude() -> None:
    """Stated for +1.5 V and -1.2 V: the table is over the volts up, and down volts are 0.8 of them."""
    own = {**AMPLITUDE, "nominal_down": "1.2 V", "volts_down": ["1.2 V", "1.44 V"], "down": [1.0, 2.0]}
    pulse = card(own).compile().pulse
    assert pulse is not None
    assert pulse.amplitude is not None
    assert pulse.amplitude.at[-1] == pytest.approx(1.8), "where the down axis ends"
    np.testing.assert_allclose(pulse.amplitude.factors([1.5, 1.65, 1.8]), [[1, 1.6, 2.2], [1, 1.5, 2]], rtol=1e-6)
    assert pulse.amplitude.factors(pulse.amplitude.nominal).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("changed", "key", "text"),
    [
        ({"volts": ["1 V", "1 V", "2 V"]}, "volts", "must ascend (got 1, 1, 2)"),
        ({"up": [1.0]}, "up", "needs as many factors as volts has points, 3 (got 1)"),
        ({"nominal": "3 V"}, "volts", "must reach the nominal pulse of 3 (got 2)"),
        (
            {"down": [0.0, 0.9, 2.0]},
            "down",
            "must be 1 at the nominal pulse of 1.5, which the steps are stated for (got 0.9)",
        ),
        ({"up": [-0.2, 1.0, 3.0]}, "up", "must be >= 0"),
    ],
)
def test_what_makes_no_table_is_refused(changed: dict[str, Any], key: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        card({**AMPLITUDE, **changed})
    assert f"pulse.amplitude.{key}" in str(error.value)
    assert text in str(error.value)


def test_half_selected_cells_are_said_once() -> None:
    with pytest.raises(ConfigError, match=r"half_select: pulse\.amplitude says what half-selected cells suffer"):
        card(AMPLITUDE, half_select="1 %")
