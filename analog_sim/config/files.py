"""Files named inside a configuration.

Data beside a YAML file, and names of packaged YAML files. Never opens or reads a file.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analog_sim.config.errors import UserError, did_you_mean, shown
from analog_sim.config.refusal import refuse
from analog_sim.config.tree import Resolver, relative_file
from analog_sim.config.yaml12 import Text


@dataclass(frozen=True, slots=True)
class _DataFile:
    """Field metadata; `asked`: whether the file must be there now.

    A path relative to the YAML file it is written in (in Python: to the current directory), held absolute.
    """

    asked: bool = True

    def validate(self, value: object) -> Path:
        """Return the absolute path. Raises PydanticCustomError."""
        if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
            raise refuse(f"must be the path of a file (got {shown(value)})")
        folder = value.folder if isinstance(value, Text) else None
        path = Path(os.path.abspath((folder or Path.cwd()) / Path(value).expanduser()))
        if not self.asked:
            return path
        try:
            there = path.is_file()
            reason = "is not a file" if path.exists() else "no such file"
        except OSError as error:  # a name that is too long
            there, reason = False, f"cannot be a file ({(error.strerror or str(error)).lower()})"
        if not there:
            raise refuse(f"{reason}: {path} (written {str(value)!r})")
        return path

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "description": "path of a file, relative to this YAML file"}


DataFile = Annotated[Path, _DataFile()]
NamedPath = Annotated[Path, _DataFile(asked=False)]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """Resolver: a bare name is `packaged/name.yaml`; a text with a folder or a suffix is a path as in `relative_file`."""

    packaged: Path

    def names(self) -> list[str]:
        """Return the bare names there are."""
        return sorted(path.stem for path in self.packaged.glob("*.yaml"))

    def __call__(self, text: str, folder: Path | None) -> Path:
        """Return the path that a text means in a file of `folder`. Raises UserError for a name that does not exist."""
        if "/" in text or os.sep in text or Path(text).suffix in (".yaml", ".yml"):
            return relative_file(text, folder)
        names = self.names()
        if text not in names:
            hint = did_you_mean(text, names)
            raise UserError(
                f"unknown name '{text}'{hint or ';'} allowed: {', '.join(names)}, or the path of a .yaml file"
            )
        return self.packaged / f"{text}.yaml"


def named_file(packaged: Path) -> Resolver:
    """Make a resolver of the YAML files of a folder, by name or by path."""
    return NamedFile(packaged)
