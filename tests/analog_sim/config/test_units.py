from decimal import Decimal

import pytest

from analog_sim.config.units import SI_UNITS, UNITS, allowed_units, explain_unit, from_si, split, to_si, unit_name


def test_every_dimension_has_its_si_unit_with_factor_one() -> None:
    assert set(SI_UNITS) == set(UNITS)
    for dimension, unit in SI_UNITS.items():
        assert UNITS[dimension][unit].factor == 1
        assert UNITS[dimension][unit].offset == 0


@pytest.mark.parametrize(
    ("text", "dimension", "si"),
    [
        ("25 uS", "conductance", "0.000025"),
        ("25uS", "conductance", "0.000025"),
        ("25 µS", "conductance", "0.000025"),
        ("25 μS", "conductance", "0.000025"),
        ("1e-3 S", "conductance", "0.001"),
        ("1 G0", "conductance", "0.00007748091729863649"),
        ("10 kOhm", "resistance", "10000"),
        ("10 kΩ", "resistance", "10000"),
        ("2.5 MΩ", "resistance", "2500000"),
        ("3 ohm", "resistance", "3"),
        ("250 ns", "time", "0.00000025"),
        ("1 h", "time", "3600"),
        ("2 hours", "time", "7200"),
        ("1.5 d", "time", "129600"),
        ("1 week", "time", "604800"),
        ("1 month", "time", "2629800"),
        ("1 year", "time", "31557600"),
        ("12 months", "time", "31557600"),
        ("25 C", "temperature", "298.15"),
        ("25 °C", "temperature", "298.15"),
        ("25 ℃", "temperature", "298.15"),
        ("-40 degC", "temperature", "233.15"),
        ("300 K", "temperature", "300"),
        ("−1 V", "voltage", "-1"),
        ("200 mV", "voltage", "0.2"),
        ("3 fJ", "energy", "0.000000000000003"),
        ("1 eV", "energy", "0.0000000000000000001602176634"),
        ("2 C", "charge", "2"),
        ("40 nm", "length", "0.00000004"),
        ("2 um²", "area", "0.000000000002"),
        ("1 GHz", "frequency", "1000000000"),
        ("5 %", "fraction", "0.05"),
        ("20 ppm", "fraction", "0.00002"),
        ("1 pF", "capacitance", "0.000000000001"),
        ("7 nA", "current", "0.000000007"),
        ("8 mW", "power", "0.008"),
    ],
)
def test_text_to_si_is_exact(text: str, dimension: str, si: str) -> None:
    parsed = split(text)
    assert parsed is not None
    unit = unit_name(parsed[1], dimension)
    assert unit is not None
    assert to_si(parsed[0], unit, dimension) == Decimal(si)


@pytest.mark.parametrize("dimension", list(UNITS))
def test_every_unit_converts_back(dimension: str) -> None:
    for unit in UNITS[dimension]:
        there = to_si(Decimal("12.5"), unit, dimension)
        assert abs(from_si(there, unit, dimension) - Decimal("12.5")) < Decimal("1e-50")


@pytest.mark.parametrize("text", ["", "uS", "abc", "--1 S", "1,5 V", "1 2 S", "nan", "1e99999999999999999999 S"])
def test_no_number_no_quantity(text: str) -> None:
    assert split(text) is None


def test_milli_and_mega_differ() -> None:
    assert UNITS["resistance"]["mOhm"].factor == Decimal("1e-3")
    assert UNITS["resistance"]["MOhm"].factor == Decimal("1e6")
    assert unit_name("MS", "conductance") is None


def test_wrong_dimension_is_named() -> None:
    assert explain_unit("s", "conductance") == (
        f"'s' is a unit of time, not of conductance; allowed: {allowed_units('conductance')}"
    )


def test_unknown_unit_gets_a_hint_and_the_allowed_ones() -> None:
    message = explain_unit("hourz", "time")
    assert message.startswith("unknown unit 'hourz' of time")
    assert message.endswith("allowed: as, fs, ps, ns, us, ms, s, min, h, day, week, month, year")
    assert "did you mean 'month'?" in explain_unit("moth", "time")
