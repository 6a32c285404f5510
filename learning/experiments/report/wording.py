"""Numbers as a reader expects them, in reports and in the terminal: times, counts, SI prefixes. It imports no drawing."""

from __future__ import annotations

import math
import re

THIN = "\u202f"
"""Thin space between the thousands of a count; it does not break."""

MONTH, YEAR = 365.25 / 12 * 86400.0, 365.25 * 86400.0
_TIME_UNITS = (
    (1e-9, "ns"),
    (1e-6, "µs"),
    (1e-3, "ms"),
    (1.0, "s"),
    (60.0, "min"),
    (3600.0, "h"),
    (86400.0, "day"),
    (MONTH, "month"),
    (YEAR, "year"),
)


def readable(text: str) -> str:
    """A text as a reader expects it: `µS` for `uS`, `1 day` for `8.64e+04 s`, `100 ns` for `1e-07 s`."""
    text = re.sub(r"(?<=[\d(] )u(?=(S|s|A|V|J|W|m)\b)|(?<=\()u(?=S\))|(?<= )u(?=S$)", "µ", text)
    return re.sub(r"\b(\d(?:\.\d+)?e[+-]\d+) s\b", lambda found: time_label(float(found[1])), text)


def count_text(count: float) -> str:
    """`4 658 000`: a count with thin spaces."""
    return f"{count:,.0f}".replace(",", THIN)


def time_label(seconds: float) -> str:
    """`1 s`, `1 h`, `1 day`, `2.5 years`: a time as people say it."""
    if seconds == 0:
        return "0 s"
    factor, unit = next((f, u) for f, u in reversed(_TIME_UNITS) if seconds >= f * 0.98 or f == _TIME_UNITS[0][0])
    count = seconds / factor
    if unit in ("month", "year") and abs(count - round(count)) <= 0.02 * count:
        count = round(count)  # 30 days are a month, 365 days a year
    number = f"{count:.3g}"
    plural = "s" if unit in ("day", "month", "year") and number != "1" else ""
    return f"{number} {unit}{plural}"


def engineering(value: float, unit: str) -> str:
    """`12.3 µS`, `4.56 nJ`: a number with an SI prefix."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    prefixes = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
    power = int(min(12, max(-18, 3 * (math.floor(math.log10(abs(value) * (1 + 1e-12)) / 3)))))
    return f"{value / 10.0**power:.3g} {prefixes[power]}{unit}"
