"""The file of a trained network in a run's folder, network.npz: written at the end of an arm, and by an estimate. It never trains.

Plain arrays with the names of a torch state_dict, and a JSON text that says what network they are of, with a digest of all. `weights:` of
an experiment names such a file or the folder that it is in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.archive import one_line
from analog_sim.config import ConfigError, StrictModel, UserError, validate
from analog_sim.json_text import parse_json
from learning.common.identity import digest
from learning.experiments.runs.files import JsonRecord, checked_record, read_arrays, write_arrays
from learning.network.learned import LearnedNetwork
from learning.network.spec import AnyNetwork

NETWORK_FILE = "network.npz"
IDEAL = "ideal_digital_twin"
"""How the folders of ideal digital twins begin, which are no arms of their own."""
_RECORD, _FORMAT = "__network__", "network/1"
_ANEW = "give the folder of an arm that has ended, or of an estimate"


class _Holder(StrictModel):
    """A network as it stands in a file."""

    network: AnyNetwork


class NetworkRecord(JsonRecord):
    """What a network.npz says of its arrays; `content` is the digest of all else and of the arrays."""

    format: str
    network: dict[str, Any]
    shape: list[int]
    outputs: list[str]
    on_chip: list[str]
    dataset: dict[str, Any]
    content: str


def save_network(path: Path, learned: LearnedNetwork) -> None:
    """Write a trained network, whole or not at all. Raises UserError."""
    said: dict[str, Any] = {
        "format": _FORMAT,
        "network": learned.spec.model_dump(mode="json"),
        "shape": list(learned.shape),
        "outputs": list(learned.outputs),
        "on_chip": list(learned.on_chip),
        "dataset": dict(learned.dataset),
    }
    text = json.dumps(said | {"content": _content(said, learned.arrays)})
    write_arrays(path, {_RECORD: np.frombuffer(text.encode(), np.uint8), **learned.arrays})


def read_network(place: Path) -> LearnedNetwork:
    """The trained network at a place, see `network_file`.

    Raises:
        UserError: there is none, or several; the file is damaged, or not of a network.
    """
    path = network_file(place)
    arrays = read_arrays(path, _ANEW)
    text = arrays.pop(_RECORD, None)
    if text is None:
        raise UserError(f"{path}: not a trained network of this program (has no {_RECORD}); {_ANEW}")
    try:
        found = parse_json(text.tobytes())
    except ValueError as error:
        raise UserError(f"{path}: not a readable network ({one_line(error)}); {_ANEW}") from error
    record = checked_record(path, found if isinstance(found, dict) else {}, NetworkRecord, _ANEW)
    if record.format != _FORMAT:
        raise UserError(f"{path}: is of format {record.format!r}, this version reads {_FORMAT}; {_ANEW}")
    if _content({key: value for key, value in found.items() if key != "content"}, arrays) != record.content:
        raise UserError(f"{path}: is not as it was written; {_ANEW}")
    try:
        spec = validate({"network": record.network}, _Holder).network
    except ConfigError as error:
        raise UserError(f"{path}: {one_line(error)}; {_ANEW}") from error
    learned = LearnedNetwork(
        spec,
        tuple(record.shape),
        tuple(record.outputs),
        arrays,
        tuple(record.on_chip),
        f"weights {path}",
        record.dataset,
    )
    if problem := learned.problem():
        raise UserError(f"{path}: {problem}; {_ANEW}")
    return learned


def _content(said: dict[str, Any], arrays: Any) -> str:
    return digest([said, dict(arrays)])


def network_file(place: Path) -> Path:
    """The network.npz that `weights:` means: the file itself, the one beside a checkpoint, or that of a run's or an arm's folder.

    Raises:
        UserError: there is none, or the run has several arms or seeds.
    """
    if place.is_dir():
        return _in_folder(place)
    if place.name == "checkpoint.npz":
        place = place.with_name(NETWORK_FILE)
        if not place.exists() and place.with_name("checkpoint.npz").exists():
            raise UserError(
                f"weights: {place.parent}: the arm has not ended yet; go on with its run by --resume, or wait for it"
            )
    if not place.exists():
        raise UserError(f"weights: no such file or folder: {place}; {_ANEW}")
    return place


def _in_folder(folder: Path) -> Path:
    own = folder / NETWORK_FILE
    if own.exists():
        return own
    arms = sorted(path for path in (folder / "arms").glob("*") if path.is_dir())
    ended = [path for path in arms if (path / NETWORK_FILE).exists()]
    trained = [path for path in arms if not path.name.startswith(IDEAL)] or arms
    if len(trained) == 1 and trained[0] in ended:
        return trained[0] / NETWORK_FILE
    if len(trained) > 1:
        raise UserError(
            f"weights: {folder}: has {len(trained)} arms and seeds; write one of them: {', '.join(str(path) for path in trained[:8])}"
        )
    if trained or (folder / "checkpoint.npz").exists():
        where = trained[0] if trained else folder
        raise UserError(f"weights: {where}: the arm has not ended yet; go on with its run by --resume, or wait for it")
    raise UserError(f"weights: {folder}: holds no trained network ({NETWORK_FILE}); {_ANEW}")
