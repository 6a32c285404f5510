"""Section `dataset` of an experiment: where the samples come from and the form the network gets them in. It never reads them.

One data set, or one way to bring your own, is one file of this folder. `dataset: digits`, `dataset: {name: mnist}` and
`dataset: {csv: data.csv, label: class}` name it; `learning/data/form.py` puts what it reads into the form that a network gets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, SerializationInfo, model_validator

from analog_sim.config import Part, at_key, discover, one_of, refuse
from analog_sim.config.errors import did_you_mean, shown
from learning.data.dataset import Dataset


class DataSpec(Part, ABC):
    """Which samples, and in what form the network gets them.

    Attributes:
        train_limit, test_limit: use only the first so many samples of a part.
        mean, std: subtracted and divided by, one number or one per channel, after pixels were scaled to [0, 1].
        normalise: found from the training samples alone and applied to both parts, per feature of vectors and per channel of other
            shapes: "standard" (to mean 0 and standard deviation 1) or "range" (least to 0, largest to 1); null for none.
        flatten: give vectors (N, features) instead of (N, C, H, W).
    """

    train_limit: Annotated[int, Field(ge=1, le=10**9)] | None = None
    test_limit: Annotated[int, Field(ge=1, le=10**9)] | None = None
    mean: Annotated[tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...], Field(min_length=1)] = (0.0,)
    std: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1e6)], ...], Field(min_length=1)] = (1.0,)
    normalise: Literal["standard", "range"] | None = None
    flatten: bool = False

    @model_validator(mode="after")
    def _one_normalisation(self) -> Self:
        if self.normalise is not None and (self.mean != (0.0,) or self.std != (1.0,)):
            raise at_key("normalise", "is found from the training samples; remove it, or mean and std")
        return self

    @property
    def numeric(self) -> bool | None:
        """Whether it has numbers to be predicted instead of classes; None where only reading it tells."""
        return False

    @abstractmethod
    def read(self, root: Path | None = None) -> Dataset:
        """All samples as they are, before any limit, normalisation or flattening.

        root: folder of the published data sets, None for the usual places. Raises UserError.
        """

    def stamp(self) -> tuple[int, ...]:
        """Changes when what is read may have changed."""
        return ()


def _with_kind(value: Any) -> Any:
    """The mapping of a file with its `kind`, which is told by the key `name`, or by the key of the user's own data."""
    if isinstance(value, DataSpec):
        return value
    parts = discover("learning.data", DataSpec)  # type: ignore[type-abstract]
    named = [kind for kind, part in parts.items() if part.config_kind_key == "name"]
    own = [kind for kind in parts if kind not in named]
    allowed = f"allowed: {', '.join(named)}, or your own data as a mapping with one of the keys {', '.join(own)}"
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise refuse(f"must be the name of a data set or a mapping; {allowed} (got {shown(value)})")
    told = [key for key in ("name", *own) if key in value]
    if len(told) > 1:
        raise at_key(told[1], f"give only one of {' and '.join(told)}")
    if not told and "kind" not in value:
        raise refuse(f"missing key 'name'; {allowed}")
    key = told[0] if told else "kind"
    kind = key if key in own else value[key]
    if not isinstance(kind, str) or kind not in (named if key == "name" else parts):
        got, hint = (f"'{kind}'", did_you_mean(kind, parts)) if isinstance(kind, str) else (shown(kind), "")
        raise at_key(key, f"unknown data set {got}{hint or ';'} {allowed}")
    return {**value, "kind": str(kind)} | ({"name": str(kind)} if kind in named else {})


def _as_written(value: DataSpec, info: SerializationInfo) -> dict[str, Any]:
    """The mapping as it stands in a file: its name or key tells the kind."""
    dumped = value.model_dump(mode=info.mode, by_alias=bool(info.by_alias))
    dumped.pop("kind")
    return dumped


AnyData = Annotated[
    DataSpec, one_of("learning.data", DataSpec), BeforeValidator(_with_kind), PlainSerializer(_as_written)
]
"""Field of an experiment that holds any data set."""
