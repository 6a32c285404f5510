"""The head of a report: verdicts, one sentence of conclusion, and what was run. It reads configurations as written, and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analog_sim.config import ConfigError, UserError
from devices.card import load_card
from learning.experiments.runs.run_folder import RunDirectory
from learning.network.spec import NetworkSpec

Tree = Mapping[str, Any]
Link = tuple[str, str]
"""Text and where it leads, empty for plain text."""
DOI = re.compile(r"doi:(10\.\d{4,9}/[^\s;,]+)")


@dataclass(frozen=True)
class Badge:
    """A verdict (good, fair, bad, unproven) and the sentence that explains it."""

    verdict: str
    text: str


@dataclass(frozen=True)
class PageHead:
    """What stands above everything else.

    Attributes:
        conclusion: one sentence. subject: (what, its value as linked text). badges: verdicts, the overall one first.
        cards: name -> reference, of the device cards used; they are to be cited.
    """

    conclusion: str = ""
    subject: tuple[tuple[str, tuple[Link, ...]], ...] = ()
    badges: tuple[Badge, ...] = ()
    cards: Mapping[str, str] | None = None


def linked(text: str) -> tuple[Link, ...]:
    """A text with every DOI as a link."""
    parts: list[Link] = []
    end = 0
    for found in DOI.finditer(text):
        doi = found[1].rstrip(".)")
        parts += [(text[end : found.start()], ""), (f"doi:{doi}", f"https://doi.org/{doi}")]
        end = found.start() + len("doi:") + len(doi)
    return tuple(part for part in (*parts, (text[end:], "")) if part[0])


def plain(rows: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """Rows of the subject; a row without a value is left out."""
    return tuple((name, linked(text)) for name, text in rows if text)


def configuration_of(run: RunDirectory) -> Tree:
    """The run's resolved configuration as plain values; empty when it is no mapping. Raises UserError."""
    found = run.configuration
    return found if isinstance(found, dict) else {}


def part(tree: Tree, path: str) -> Any:
    """Value at a dotted path, None where there is none."""
    found: Any = tree
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def cards_of(trees: Iterable[Tree]) -> dict[str, str]:
    """Name -> reference of the device cards that configurations name, their arms and hardware included."""
    found: dict[str, str] = {}
    for tree in trees:
        listed = [*(tree.get("hardware") or ()), *(tree.get("arms") or ())]
        for device in (tree.get("device"), *(part(entry, "set") and entry["set"].get("device") for entry in listed)):
            name, reference = _card(device)
            if name:
                found.setdefault(name, reference)
    return found


def _card(device: Any) -> tuple[str, str]:
    if isinstance(device, Mapping) and "name" in device:
        return str(device["name"]), str(device.get("reference") or "")
    text = device.get("base") if isinstance(device, Mapping) else device
    if not isinstance(text, str):
        return "", ""
    try:
        card = load_card(text)
    except (ConfigError, UserError, OSError):
        return text, ""
    return card.name, card.reference


def device_text(cards: Mapping[str, str]) -> str:
    """`pcm: Joshi et al., ..., doi:...`, one after the other."""
    return "; ".join(f"{name} ({_source(reference)})" if reference else name for name, reference in cards.items())


def _source(reference: str) -> str:
    """A card's reference; `none (idealised)` as `no source: idealised`."""
    found = re.fullmatch(r"none \((.*)\)", reference)
    return f"no source: {found[1]}" if found else reference


def data_text(tree: Tree, n_test: int) -> str:
    """Name of the data set and how many samples judge."""
    data = tree.get("dataset")
    if not isinstance(data, Mapping):
        return ""
    name = str(data.get("name") or data.get("path") or data.get("kind") or "own data")
    return f"{name}, {n_test} test samples"


def chip_text(tree: Tree) -> str:
    """What was driven in place of emulated cells that show their inside, and where it is; nothing for these."""
    chip = tree.get("chip")
    if not isinstance(chip, Mapping) or chip.get("kind") in (None, "emulated"):
        return ""
    which = ("address", "folder", "factory", "board", "firmware", "record")
    where = next((str(chip[key]) for key in which if chip.get(key) and not isinstance(chip[key], bool)), "")
    return f"{chip['kind']}, {where}" if where else str(chip["kind"])


def network_text(tree: Tree) -> str:
    """The network in a line: the user's module, or the layers; what all networks have is left out where nobody asked for it."""
    model, network = tree.get("model"), tree.get("network")
    if isinstance(model, Mapping):
        return f"{model.get('file')}:{model.get('factory')}"
    if isinstance(tree.get("module"), str):
        return str(tree["module"])
    if not isinstance(network, Mapping):
        return ""
    if "layers" in network:
        return " → ".join(map(_layer, network["layers"] or ()))
    usual = {key: field.default for key, field in NetworkSpec.model_fields.items()} | {"kind": network.get("kind")}
    rest = ", ".join(
        f"{key} {_short(value)}"
        for key, value in network.items()
        if value is not None and (key not in usual or value != usual[key])
    )
    return f"{network.get('kind', '')}" + (f": {rest}" if rest else "")


def _layer(layer: Any) -> str:
    if not isinstance(layer, Mapping):
        return str(layer)
    sizes = [
        str(layer[key]) for key in ("units", "channels", "out_channels", "kernel", "size") if layer.get(key) is not None
    ]
    return " ".join([str(layer.get("kind", "layer")), *sizes])


def _short(value: Any) -> str:
    return " × ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def converter_text(tree: Tree, swept: Iterable[str] = ()) -> str:
    """Resolution of DAC and ADC; `swept` where a sweep changes it."""
    if not isinstance(tree.get("tile"), Mapping):
        return ""
    words = []
    for name in ("dac", "adc"):
        bits = part(tree, f"tile.{name}.bits")
        words.append(
            f"{name.upper()} "
            + ("swept" if f"tile.{name}.bits" in swept else "ideal" if bits is None else f"{bits} bits")
        )
    return ", ".join(words)


def wires_text(tree: Tree, swept: Iterable[str] = ()) -> str:
    """Resistance of the arrays' wires, empty where they are ideal; `swept` where a sweep changes it."""
    if any(f"{name}.".startswith("tile.wires.") for name in swept):
        return "swept"
    wires = part(tree, "tile.wires")
    if not isinstance(wires, Mapping):
        return ""
    word, bit, driver = (
        f"{float(str(wires.get(name) or 0).split()[0]):.3g}" for name in ("word_line", "bit_line", "driver")
    )
    node = f" ({wires['preset']})" if wires.get("preset") else ""
    return f"{word} ohm a segment of a word line, {bit} ohm of a bit line{node}, driver {driver} ohm"
