"""Lab files, and what can go wrong with their bytes: the material of the fuzz. A mutation is a function of a generator and the bytes."""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from catalogue import MEASURED, READERS

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes], bytes]

V_READ = 0.2


@dataclass(frozen=True)
class Base:
    """A sound lab file.

    Attributes:
        kind: of the reader. settings: of it, without the path. name: of the file. data: its bytes.
        delimiter: between fields, "" for a binary file. reads: fields that hold what was read, None for all; siemens: of such a number.
    """

    kind: str
    settings: Mapping[str, Any]
    name: str
    data: bytes
    delimiter: str = ""
    reads: tuple[int, ...] | None = None
    siemens: Callable[[float], float] = float


def _catalogued(kind: str, delimiter: str = "", reads: tuple[int, ...] | None = None, siemens: Any = float) -> Base:
    row = dict(READERS[kind][0])
    path = Path(row.pop("path"))
    return Base(kind, row, path.name, path.read_bytes(), delimiter, reads, siemens)


def _text(
    kind: str, settings: Mapping[str, Any], text: str, delimiter: str, reads: tuple[int, ...], siemens: Any
) -> Base:
    return Base(kind, settings, "lab.csv", text.encode(), delimiter, reads, siemens)


def bases() -> dict[str, Base]:
    """One file for every reader and a few more, by name."""
    found = {
        "arc_one": _catalogued("arc_one", ",", (2,), lambda x: 1.0 / x if x else np.nan),
        "arc_two": _catalogued("arc_two"),
        "csv": _catalogued("csv", ",", (3,), lambda x: 1e-6 * x / V_READ),
        "keithley": _catalogued("keithley", "\t", (2,), lambda x: 1e-3 * x / V_READ),
        "keysight_b1500": _catalogued("keysight_b1500", ",", (3,), lambda x: x / V_READ),
        "neurosim": _catalogued("neurosim", "\t", (1,), lambda x: 1e-6 * x),
        "noise_series": _catalogued("noise_series", "\t"),
        "operations": _catalogued("operations"),
        "pulse_ramps": _catalogued("pulse_ramps", ",", None, lambda x: 1e-3 / x if x else np.nan),
        "pymeasure": _catalogued("pymeasure", ",", (2,), lambda x: 1e-9 * x / V_READ),
        "retention": _catalogued("retention", ",", (1, 2, 3), lambda x: 1e-6 * x),
        "step_distribution": _catalogued("step_distribution"),
        "step_distribution_npz": _catalogued("step_distribution_npz"),
    }
    rng = np.random.default_rng(0)
    micro = lambda x: 1e-6 * x  # noqa: E731
    words = "".join(
        f"D{c};{('up', 'down')[k // 10 % 2]};1;c{k // 20};{10 + k % 10:.2f}".replace(".", ",") + "\n"
        for c in (1, 2)
        for k in range(40)
    )
    found["words"] = _text(
        "csv",
        {
            "role": "pulses",
            "decimal": ",",
            "columns": {"cell": "die", "direction": "what", "n_pulses": "n", "sequence": "cycle", "g": "G"},
        },
        "die;what;n;cycle;G (uS)\n" + words,
        ";",
        (4,),
        micro,
    )
    long = "".join(
        f"{c},{t},{20 + c - 0.1 * np.log10(1 + t):.4f},{20 + c}\n" for c in range(12) for t in (0, 1, 10, 100, 1000)
    )
    found["long"] = _text(
        "retention",
        {"columns": {"cell": "cell", "t": "t", "g": "G", "target": "aim"}},
        "cell,t (s),G (uS),aim (uS)\n" + long,
        ",",
        (2,),
        micro,
    )
    noise = "".join(f"{k / 100:.2f} {a:.5f} {b:.5f}\n" for k, (a, b) in enumerate(rng.normal(20, 0.1, (300, 2))))
    found["noise_columns"] = _text(
        "noise_series",
        {"series_are": "columns", "leading": 1, "sample_rate": "100 Hz", "unit": "uS"},
        noise,
        " ",
        (1, 2),
        micro,
    )
    aims = "".join(f"{5 * k % 50 + 5}|{5 * k % 50 + 5 + d:.4f}\n" for k, d in enumerate(rng.normal(0, 0.5, 60)))
    found["programming"] = _text(
        "csv",
        {"role": "programming", "columns": {"target": "aim", "g": "G"}},
        "aim (uS)|G (uS)\n" + aims,
        "|",
        (1,),
        micro,
    )
    for name in ("csv", "pulse_ramps"):
        plain = found[name]
        packed = gzip.compress(plain.data, mtime=0)
        found[f"{name}_gz"] = Base(plain.kind, plain.settings, plain.name + ".gz", packed)
    return found


# ---- mutations of bytes


def flipped(rng: Rng, data: bytes) -> bytes:
    """One to eight bits turned over."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(rng: Rng, data: bytes) -> bytes:
    """The end is missing."""
    return data[: int(rng.integers(0, len(data)))]


def holed(rng: Rng, data: bytes) -> bytes:
    """A block of zeros, as of a lost sector."""
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 200))
    return data[:at] + b"\0" * min(length, len(data) - at) + data[at + length :]


def scrambled(rng: Rng, data: bytes) -> bytes:
    """A block of random bytes."""
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
    return data[:at] + rng.bytes(length) + data[at + length :]


def doubled(rng: Rng, data: bytes) -> bytes:
    """A block written twice."""
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 300))
    return data[: at + length] + data[at:]


def packed(rng: Rng, data: bytes) -> bytes:
    """Gzip, which is read as it is, or damaged gzip."""
    whole = gzip.compress(data, mtime=0)
    return whole if rng.random() < 0.3 else flipped(rng, whole)


BYTES: tuple[Mutation, ...] = (flipped, cut, holed, scrambled, doubled)

# ---- mutations of lines and fields

FIELDS = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1e30",
        "-1e30",
        "1e400",
        "1e-400",
        "9.9e37",
        "abc",
        "1,5",
        "1.5",
        "1_0",
        "0x1F",
        "1e",
        "--",
    ),
    *(
        "1.5 uS",
        "3 V",
        "12:30",
        "2024-01-01",
        '"',
        '"1',
        "#",
        "1;2",
        "1\t2",
        "١",
        "1\u00a0000",
        "=1+1",
        "TRUE",
        "1.2.3",
        "+",
        "2.5",
        "-5",
    ),
)
HEADS = ("(umho)", "(V)", "[uS]", "(a.u.)", "(%)", "/uS", "", " (uS) (old)")


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")


def _bytes(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _some_line(rng: Rng, lines: list[str]) -> int:
    return int(rng.integers(len(lines)))


def _split(line: str) -> tuple[list[str], str]:
    mark = max(",;\t|", key=line.count)
    mark = mark if mark in line else " "
    return line.split(mark), mark


def _with_fields(rng: Rng, data: bytes, change: Callable[[list[str]], None]) -> bytes:
    """Change the fields of one to three lines."""
    lines = _lines(data)
    for _ in range(int(rng.choice([1, 1, 3]))):
        at = _some_line(rng, lines)
        fields, mark = _split(lines[at])
        change(fields)
        lines[at] = mark.join(fields)
    return _bytes(lines)


def replaced(rng: Rng, data: bytes) -> bytes:
    """Fields with something else in them."""

    def change(fields: list[str]) -> None:
        fields[int(rng.integers(len(fields)))] = str(rng.choice(FIELDS))

    return _with_fields(rng, data, change)


def extra_field(rng: Rng, data: bytes) -> bytes:
    """A field too many."""
    return _with_fields(
        rng, data, lambda fields: fields.insert(int(rng.integers(len(fields) + 1)), str(rng.choice(("7", "", "x"))))
    )


def lost_field(rng: Rng, data: bytes) -> bytes:
    """A field missing."""
    return _with_fields(rng, data, lambda fields: fields.pop(int(rng.integers(len(fields)))) and None)


def decimal_comma(rng: Rng, data: bytes) -> bytes:
    """Points become commas, in one line or in all."""
    if rng.random() < 0.5:
        return data.replace(b".", b",")
    return _with_fields(
        rng, data, lambda fields: fields.__setitem__(slice(None), [field.replace(".", ",") for field in fields])
    )


def blank_column(rng: Rng, data: bytes) -> bytes:
    """A column blank from some line on."""
    lines = _lines(data)
    at, column = _some_line(rng, lines), int(rng.integers(4))
    for k in range(at, len(lines)):
        fields, mark = _split(lines[k])
        if column < len(fields) - 1:
            fields[column] = ""
            lines[k] = mark.join(fields)
    return _bytes(lines)


def header(rng: Rng, data: bytes) -> bytes:
    """Another unit behind a name of the header."""
    lines = _lines(data)
    at = next((k for k, line in enumerate(lines) if re.search(r"\([a-zA-Z]+\)", line)), 0)
    lines[at] = re.sub(r"\([a-zA-Z]+\)", lambda _: str(rng.choice(HEADS)), lines[at], count=int(rng.integers(1, 3)))
    return _bytes(lines)


def reordered(rng: Rng, data: bytes) -> bytes:
    """Lines lost, doubled or exchanged."""
    lines = _lines(data)
    at, other = _some_line(rng, lines), _some_line(rng, lines)
    what = int(rng.integers(3))
    if what == 0:
        del lines[at : at + int(rng.integers(1, 4))]
    elif what == 1:
        lines.insert(at, lines[other])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return _bytes(lines)


def strange_lines(rng: Rng, data: bytes) -> bytes:
    """Lines that no instrument wrote."""
    lines = _lines(data)
    odd = (
        "",
        ",,,",
        ";;",
        "\t\t",
        "# comment",
        "% 5",
        "; note",
        "abc",
        "0",
        "\0",
        "DataName, X",
        "1,2,3,4,5,6,7,8,9",
        "=SUM(A1)",
        "\ufeff",
        "-" * 70,
    )
    lines.insert(_some_line(rng, lines) if rng.random() < 0.6 else len(lines) - 1, str(rng.choice(odd)))
    return _bytes(lines)


def ends(rng: Rng, data: bytes) -> bytes:
    """Other line ends, encodings and delimiters."""
    what = int(rng.integers(6))
    text = data.decode("utf-8", "replace")
    if what == 0:
        return data.replace(b"\n", b"\r\n")
    if what == 1:
        return data.replace(b"\n", b"\r")
    if what == 2:
        return text.encode("utf-16")
    if what == 3:
        return b"\xef\xbb\xbf" + data
    if what == 4:
        return data.replace(b",", b";").replace(b"\t", b",")
    return data + b"\n" * int(rng.integers(1, 50))


LINES: tuple[Mutation, ...] = (
    *(replaced, replaced, extra_field, lost_field, decimal_comma, blank_column, header, reordered, strange_lines, ends),
    packed,
)


def mutated(seed: int, found: Mapping[str, Base]) -> tuple[str, str, bytes]:
    """The mutated file of a seed: name of the base, names of the mutations, bytes."""
    rng = np.random.default_rng([12, seed])
    names = sorted(found)
    name = names[seed % len(names)]
    text = found[name].delimiter != "" or found[name].kind == "step_distribution"
    data, done = found[name].data, []
    for _ in range(int(rng.choice([1, 1, 1, 1, 2]))):
        choice = (*LINES, *LINES, *BYTES) if text else BYTES
        mutation = choice[int(rng.integers(len(choice)))]
        if data and not (done and done[-1] == "packed"):
            data = mutation(rng, data)
            done.append(mutation.__name__)
    return name, " ".join(done), data


__all__ = ["MEASURED", "Base", "bases", "mutated"]
