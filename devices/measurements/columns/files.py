"""Where measurement files are: a path or glob beside the YAML file, else below the folder of ANALOG_SIM_DATA. Never opens a file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

DATA_VARIABLE = "ANALOG_SIM_DATA"
_WILD = frozenset("*?[")


def data_folders(folder: Path | None) -> list[Path]:
    """Folders that a relative path is looked for in, in order: `folder`, then ANALOG_SIM_DATA and its subfolder `measured`."""
    found = [folder or Path.cwd()]
    data = os.environ.get(DATA_VARIABLE)
    if data:
        found += [Path(data).expanduser(), Path(data).expanduser() / "measured"]
    return found


def find(text: str, folder: Path | None) -> tuple[Path, ...]:
    """Return the files of a path or glob pattern, sorted; empty when there are none."""
    written = Path(text).expanduser()
    if written.is_absolute():
        roots, pattern = [Path(written.anchor)], str(written.relative_to(written.anchor))
    else:
        roots, pattern = data_folders(folder), str(written)
    for root in roots:
        if _WILD & set(pattern):
            files = sorted(path for path in root.glob(pattern) if path.is_file())
        else:
            files = [root / pattern] if (root / pattern).is_file() else []
        if files:
            return tuple(Path(os.path.abspath(path)) for path in files)
    return ()


def _twice(files: Sequence[Path]) -> str | None:
    """Say which file is named twice, by whatever path; None when none is."""
    seen: dict[tuple[int, int], Path] = {}
    for path in files:
        status = path.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            also = "" if other == path else f" (once as '{other}')"
            return f"names '{path}' twice{also}: its rows would count twice"
    return None


class _MeasuredFiles:
    """Field metadata: one path or pattern, or a list of them, held as absolute paths of existing files."""

    @staticmethod
    def validate(value: object) -> tuple[Path, ...]:
        """Return the files. Raises PydanticCustomError when a pattern matches none."""
        items = value if isinstance(value, tuple | list) else (value,)
        files: list[Path] = []
        for item in items:
            if not isinstance(item, str | os.PathLike) or not str(item):
                raise PydanticCustomError(
                    "config", "{message}", {"message": "must be a path, a pattern or a list of them"}
                )
            folder = getattr(item, "folder", None)
            found = find(str(item), folder)
            if not found:
                looked = ", ".join(str(place) for place in data_folders(folder))
                hint = (
                    ""
                    if os.environ.get(DATA_VARIABLE)
                    else f"; {DATA_VARIABLE} (the folder of the data sets) is not set"
                )
                raise PydanticCustomError(
                    "config", "{message}", {"message": f"no such file: '{item}' (looked in {looked}){hint}"}
                )
            files.extend(found)
        twice = _twice(files)
        if twice is not None:
            raise PydanticCustomError("config", "{message}", {"message": twice})
        if not files:
            raise PydanticCustomError("config", "{message}", {"message": "must name at least one file"})
        return tuple(files)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda files: tuple(str(path) for path in files)
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text = {"type": "string", "description": f"path or glob pattern, beside this file or in ${DATA_VARIABLE}"}
        return {"anyOf": [text, {"type": "array", "items": text}]}


MeasuredFiles = Annotated[tuple[Path, ...], _MeasuredFiles()]
