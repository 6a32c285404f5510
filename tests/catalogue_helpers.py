"""Turn rows of the catalogue into cases for pytest's parametrize."""

from typing import Any

from catalogue import Rows


def cases(rows: Rows) -> list[dict[str, Any]]:
    """Every configuration of a registry as a mapping with its `kind`."""
    return [{"kind": kind, **fields} for kind, all_fields in sorted(rows.items()) for fields in all_fields]


def name(case: dict[str, Any]) -> str:
    """Readable test id of a case."""
    return ",".join(str(value) if key == "kind" else f"{key}={value}" for key, value in case.items())
