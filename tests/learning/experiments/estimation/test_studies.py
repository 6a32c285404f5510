"""Which variants an estimate runs, and that each differs from the configured hardware where it should."""

import pytest
from estimate_helpers import small

from analog_sim.config import UserError
from analog_sim.tiles.nonidealities import present
from learning.experiments.estimation.run import check_variants
from learning.experiments.estimation.studies import hardware_of, variants


def test_without_studies_there_is_the_configured_hardware_alone() -> None:
    (nominal,) = variants(small())
    assert (nominal.study, nominal.value, nominal.chips, nominal.times) == ("nominal", "", 3, (1.0, 86400.0))
    assert nominal.hardware.tile.dac.bits == 8


def test_all_means_what_the_hardware_has() -> None:
    experiment = small(sensitivity={"without": "all", "only": "all", "chips": 2, "times": ["1 day"]})
    found = variants(experiment)
    there = present(hardware_of(experiment))
    assert there == ("programming", "read_noise", "drift", "drift_spread", "dac", "adc")
    assert [(v.study, v.value) for v in found[1:]] == [(s, name) for s in ("without", "only") for name in there]
    assert all((v.chips, v.times) == (2, (86400.0,)) for v in found[1:])
    for v in found[1:]:
        if v.study == "without":
            assert v.value not in present(v.hardware)


def test_sweeps_reach_the_hardware() -> None:
    sweeps = [
        {"set": "tile.adc.bits", "values": [4, 6, None]},
        {"set": "tile.compensation", "values": ["none"]},
        {"set": "device.g_max", "values": ["40 uS"]},
        {"set": "bias", "values": ["chip"]},
        {"set": "weight_scale", "values": ["column"]},
        {"scale": "noise", "values": [0, 0.5]},
    ]
    found = {(v.study, v.value): v for v in variants(small(sensitivity={"sweeps": sweeps}))}
    assert found["adc_bits", "4"].hardware.tile.adc.bits == 4
    assert found["adc_bits", "ideal"].hardware.tile.adc.bits is None
    assert found["tile_compensation", "none"].hardware.tile.compensation == "none"
    assert found["device_g_max", "40 uS"].hardware.cell.g_max == pytest.approx(40e-6)
    assert (found["bias", "chip"].bias, found["nominal", ""].bias) == ("chip", "digital")
    assert found["weight_scale", "column"].weight_scale == "column"
    assert not found["noise_scale", "0"].hardware.cell.program_std.any()
    half, full = (found[key].hardware.cell.program_std.max() for key in (("noise_scale", "0.5"), ("nominal", "")))
    assert half == pytest.approx(full / 2)


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"set": "tile.adc.bist", "values": [4]}, "sensitivity.sweeps: tile.adc.bist=4: unknown key 'bist'"),
        ({"set": "tile.adc.bits", "values": [0]}, "tile.adc.bits=0: must be >= 2"),
        ({"set": "device.g_max", "values": ["1 V"]}, "device.g_max=1 V: "),
        ({"set": "device.g_min", "values": ["30 uS"]}, "must be < g_max"),
    ],
)
def test_mistakes_in_a_sweep(sweep, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        variants(small(sensitivity={"sweeps": [sweep]}))
    assert "\n" not in str(caught.value)


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(UserError, match=r"^tile\.dac: bit_serial needs a number of bits"):
        check_variants(variants(small(tile={"dac": {"bit_serial": True}})))
    sweeps = [{"set": "tile.dac.bits", "values": [None]}]
    experiment = small(tile={"dac": {"bits": 8, "bit_serial": True}}, sensitivity={"sweeps": sweeps})
    with pytest.raises(UserError, match=r"sensitivity, dac_bits = ideal: tile\.dac: bit_serial"):
        check_variants(variants(experiment))
