"""Sound configurations of every schema, and mutations of them drawn from a seed: what hands, editors and templates do to a YAML file."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analog_sim.config import dump_yaml, load_config, validate
from devices.card import CARDS, DeviceCard
from devices.measurements.configuration.measurement_config import MeasurementConfig
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment

MODELS = {
    "estimate/1": Experiment,
    "train/1": TrainExperiment,
    "card/1": DeviceCard,
    "measurements/1": MeasurementConfig,
}
DIGITS = {"name": "digits", "train_limit": 200, "test_limit": 40}
ESTIMATE: dict[str, Any] = {
    "schema": "estimate/1",
    "dataset": DIGITS,
    "network": {"kind": "mlp", "hidden": [6]},
    "tile": {"dac": {"bits": 8}, "adc": {"bits": 9, "noise": 0.001}},
    "chips": 2,
    "times": ["1 s", "1 day"],
    "sensitivity": {
        "without": "all",
        "sweeps": [{"set": "tile.adc.bits", "values": [4, 6]}, {"scale": "noise", "values": [0, 1]}],
    },
}
TRAINING: dict[str, Any] = {
    "schema": "train/1",
    "dataset": DIGITS,
    "network": {"layers": ["flatten", {"kind": "linear", "units": 6}, "relu", {"kind": "linear", "units": 10}]},
    "rule": {"kind": "node_perturbation", "sigma": 0.01},
    "decorrelation": {"method": {"kind": "natural"}, "where": "digital"},
    "learning_rate": 0.1,
    "batch": 8,
    "epochs": 0.1,
    "targets": [0.5],
    "arms": [{"name": "a"}, {"name": "b", "set": {"learning_rate": 0.05, "tile.adc.bits": 6}}],
    "hardware": [
        {"name": "h", "set": {"device": "ecram", "tile.writing": {"kind": "stochastic_pulse"}}},
        {"name": "digital"},
    ],
}
ANYTHING: tuple[Any, ...] = (
    0, -1, 1, 2, 0.5, 1e18, -1e18, 1e-300, 10**30, float("nan"), float("inf"), True, False, None, "", " ", "x", "=1+1", "25 uS", "1 h",
    "5 %", "-3 nS", "1e400 s", "null", "é", "x" * 300, "a\nb", [], [1], [[]], {}, {"kind": "none"}, {"a": 1}, [{"kind": 3}], "../..",
    "/dev/zero", "\0", "digits", "pcm", "ideal", "auto", "none",
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """A sound file: its schema and its tree."""

    schema: str
    tree: dict[str, Any]


def bases(folder: Path) -> list[Base]:
    """Sound files with every default written out. folder: for the lab file that one of them names."""
    lab = folder / "pulses.csv"
    rows = [
        f"{k % 40},{1 if k % 80 < 40 else -1},{20 + 0.1 * (k % 40 if k % 80 < 40 else 40 - k % 40):.4f}"
        for k in range(400)
    ]
    lab.write_text("\n".join(["pulse,direction,G", *rows]) + "\n")
    columns = {"v": {"name": "direction", "unit": "V"}, "g": {"name": "G", "unit": "uS"}}
    measured = {
        "schema": "measurements/1",
        "name": "m",
        "measurements": [{"kind": "csv", "role": "pulses", "path": str(lab), "columns": columns}],
    }
    found = []
    for data in (
        ESTIMATE | {"device": "pcm"},
        ESTIMATE | {"device": "reram_soft_bounds"},
        TRAINING,
        TRAINING | {"device": "ecram", "sweep": {"batch": [4, 8]}},
        measured,
    ):
        plain = {key: value for key, value in data.items() if key != "sweep"}
        tree = yaml.safe_load(dump_yaml(validate(plain, MODELS[str(data["schema"])])))
        found.append(Base(str(data["schema"]), tree | {key: data[key] for key in ("sweep",) if key in data}))
    for path in sorted(CARDS.glob("*.yaml")):
        found.append(Base("card/1", yaml.safe_load(dump_yaml(load_config(path, DeviceCard)))))
    return found


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values below a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in items for place in ((*path, key), *places(value, (*path, key)))]


def holder(tree: Any, path: tuple[Any, ...]) -> Any:
    """What holds the value at a path."""
    for key in path[:-1]:
        tree = tree[key]
    return tree


EXTREMES = ("1e-300", "1e-39", "1e-25", "1e-12", "1e12", "1e30", "1e300")
"""Numbers that are too small or too large for a 32-bit float, for the square of one, and for anything that is measured."""


def extreme(seed: int, sound: list[Base]) -> tuple[Base, str, dict[str, Any]]:
    """A sound file of which one number, or a word in the place of one, became an extreme number of the same unit: file, what, tree.

    Seeds go through all files, numbers and extremes before one comes again.
    """
    found = [(base, path) for base in sound for path in places(base.tree) if _unit_of(base, path) is not None]
    cases = len(found) * len(EXTREMES)
    number = seed * _STRIDE % cases  # neighbouring seeds are of other files
    (base, path), value = found[number // len(EXTREMES)], EXTREMES[number % len(EXTREMES)]
    tree, unit = copy.deepcopy(base.tree), _unit_of(base, path)
    holder(tree, path)[path[-1]] = f"{value} {unit}" if unit else float(value)
    return base, f"{'.'.join(map(str, path))}: {value} {unit}", tree


_STRIDE = 1_000_003
"""A prime that divides no number of cases."""


def _unit_of(base: Base, path: tuple[Any, ...]) -> str | None:
    """Unit of the number at a path, "" without one; None where there is no number and no word that may stand for one."""
    value = holder(base.tree, path)[path[-1]]
    if isinstance(value, str) and value[:1].isdecimal():
        return value.partition(" ")[2]
    word = value in ("absmax", "per_vector", "auto", "gradient")
    return "" if word or (isinstance(value, int | float) and not isinstance(value, bool)) else None


def replaced(tree: Any, path: tuple[Any, ...], draw: random.Random) -> None:
    """Another value in its place."""
    holder(tree, path)[path[-1]] = copy.deepcopy(draw.choice(ANYTHING))


def scaled(tree: Any, path: tuple[Any, ...], draw: random.Random) -> None:
    """A wrong unit, sign or power of ten."""
    inside, factor = holder(tree, path), draw.choice((-1, 1e-12, 1e-6, 1e-3, 1e3, 1e6, 1e9, 1e15))
    value = inside[path[-1]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside[path[-1]] = value * factor if isinstance(value, float) or abs(factor) < 1 else int(value * factor)
    elif isinstance(value, str) and value.split(" ")[0].replace(".", "").isdecimal():
        number, _, unit = value.partition(" ")
        inside[path[-1]] = f"{float(number) * factor} {draw.choice((unit, 'S', 's', 'V', 'parsec', ''))}"
    else:
        replaced(tree, path, draw)


def gone(tree: Any, path: tuple[Any, ...], draw: random.Random) -> None:
    """A line that is missing."""
    del holder(tree, path)[path[-1]]


def misspelt(tree: Any, path: tuple[Any, ...], draw: random.Random) -> None:
    """A key with a letter too many or in capitals."""
    inside, key = holder(tree, path), path[-1]
    if isinstance(inside, dict):
        inside[draw.choice((f"{key}s", str(key).upper(), f" {key}", f"{key}.x"))] = inside.pop(key)
    else:
        inside.insert(key, copy.deepcopy(inside[key]))


def moved(tree: Any, path: tuple[Any, ...], draw: random.Random) -> None:
    """The value of another key."""
    other = draw.choice(places(tree))
    holder(tree, path)[path[-1]] = copy.deepcopy(holder(tree, other)[other[-1]])


TREES: tuple[Callable[[Any, tuple[Any, ...], random.Random], None], ...] = (
    replaced,
    replaced,
    scaled,
    scaled,
    gone,
    misspelt,
    moved,
)


INSERTED = (b"\t", b"\0", b"\xff\xfe", b": ", b"- ", b"{", b"&a ", b"*a", b"!!python/object:os ", b"'")


def garbled(data: bytes, draw: random.Random) -> bytes:
    """The file's bytes with something else in the middle, cut, indented or doubled."""
    start = draw.randrange(len(data))
    how = draw.randrange(6)
    if how == 0:
        return data[:start]
    if how == 1:
        return data[:start] + draw.choice(INSERTED) + data[start:]
    if how == 2:
        changed = bytearray(data)
        changed[start] ^= 1 << draw.randrange(8)
        return bytes(changed)
    if how == 3:
        return data.decode().encode("utf-16")
    if how == 4:
        return data + data
    line = data.rfind(b"\n", 0, start) + 1
    return data[:line] + b"  " + data[line:]


def mutated(seed: int, sound: list[Base]) -> tuple[Base, str, bytes, dict[str, Any] | None]:
    """Base, what was done, the file's bytes, and its tree (None when it was the text that was changed)."""
    draw = random.Random(seed)
    schema = draw.choice(sorted(MODELS))
    base = draw.choice([one for one in sound if one.schema == schema])
    tree = copy.deepcopy(base.tree)
    if draw.random() < 0.15:
        return base, "bytes", garbled(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(), draw), None
    done = []
    for _ in range(draw.choice((1, 1, 1, 2))):
        path, how = draw.choice([place for place in places(tree) if place != ("schema",)]), draw.choice(TREES)
        done.append(f"{how.__name__} {'.'.join(map(str, path))}")
        how(tree, path, draw)
    return base, ", ".join(done), yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(), tree
