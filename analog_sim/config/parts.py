"""Plug-in parts chosen by `kind`.

A new part is one new file in its package, and nothing else to edit. Never a registry to fill by hand.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analog_sim.config.errors import did_you_mean, shown
from analog_sim.config.model import StrictModel
from analog_sim.config.refusal import at_key, refuse

P = TypeVar("P", bound="Part")


class Part(StrictModel):
    """Base of parts; a concrete part narrows the field: `kind: Literal["soft_bounds"] = "soft_bounds"`.

    Class attributes:
        config_kind_key: key of a file that tells the kind.
    """

    config_kind_key: ClassVar[str] = "kind"

    kind: str


def discover(package: str, base: type[P]) -> dict[str, type[P]]:
    """Import every module of a package folder and return kind -> concrete part, sorted by kind.

    Raises TypeError when two parts share a kind or when a `kind` is not one literal text with itself as default.
    """
    return dict(_discover(package, base))


@cache
def _discover(package: str, base: type[P]) -> Mapping[str, type[P]]:
    found: dict[str, type[P]] = {}
    folder = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda entry: entry.name):
        for kind, value in _parts_of(f"{package}.{info.name}", base):
            if kind in found and found[kind] is not value:
                other = found[kind]
                raise TypeError(
                    f"{package}: kind '{kind}' is defined twice, by {other.__module__}.{other.__name__}"
                    f" and {value.__module__}.{value.__name__}"
                )
            found[kind] = value
    return MappingProxyType(dict(sorted(found.items())))


def _parts_of(module_name: str, base: type[P]) -> Iterator[tuple[str, type[P]]]:
    """Kinds and concrete parts that a module defines."""
    module = importlib.import_module(module_name)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module_name:
            kind = _kind(value)
            if kind is not None:  # else it is abstract: leaves `kind` open
                yield kind, value


@cache
def _by_its_file(package: str, base: type[P], kind: str) -> type[P] | None:
    """The part of a kind whose file has the name of the kind, without a look into the other files; None where there is no such file."""
    module = f"{package}.{kind}"
    if not kind.isidentifier() or kind.startswith("_") or importlib.util.find_spec(module) is None:
        return None
    return dict(_parts_of(module, base)).get(kind)


def _kind(part: type[Part]) -> str | None:
    """Return the literal kind of a concrete part, None for an abstract one."""
    field = part.model_fields["kind"]
    if get_origin(field.annotation) is not Literal:
        return None
    names = get_args(field.annotation)
    if len(names) != 1 or field.default != names[0]:
        raise TypeError(
            f'{part.__module__}.{part.__name__}: write kind: Literal["name"] = "name" (one name, the same twice)'
        )
    return str(names[0])


@dataclass(frozen=True, slots=True)
class _OneOf:
    """Field metadata that checks a mapping against the part its `kind` names.

    Parts are imported at first use, never at import.
    """

    package: str
    base: type[Part]
    default: str | None = None

    def validate(self, value: object, info: core_schema.ValidationInfo) -> Part:
        """Return the part of a mapping with `kind`, of a bare kind, or an instance as it is.

        Raises PydanticCustomError.
        """
        if isinstance(value, self.base):
            return value
        if isinstance(value, str):
            value = {"kind": value}
        named = value.get("kind", self.default) if isinstance(value, Mapping) else None
        part = _by_its_file(self.package, self.base, named) if isinstance(named, str) else None
        if part is not None:
            assert isinstance(value, Mapping)
            return part.model_validate(value if "kind" in value else {**value, "kind": named}, context=info.context)
        parts = _discover(self.package, self.base)
        if not isinstance(value, Mapping):
            raise refuse(
                f"must be a kind or a mapping with a key 'kind'; kinds: {', '.join(parts)} (got {shown(value)})"
            )
        if "kind" not in value and self.default is not None:
            value = {**value, "kind": self.default}
        if "kind" not in value:
            raise refuse(f"missing key 'kind'; allowed: {', '.join(parts)}")
        kind = value["kind"]
        if not isinstance(kind, str) or kind not in parts:
            hint = did_you_mean(kind, parts) if isinstance(kind, str) else ""
            raise at_key("kind", f"unknown kind '{kind}'{hint or ';'} allowed: {', '.join(parts)}")
        return parts[kind].model_validate(value, context=info.context)

    @staticmethod
    def serialise(value: Part, info: SerializationInfo) -> dict[str, Any]:
        """Return all fields of the concrete part."""
        return value.model_dump(mode=info.mode, by_alias=bool(info.by_alias))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(self.serialise, info_arg=True),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # `json_schema` fills these definitions in; done here, parts that hold parts of their own kind would never end.
        return {"x-one-of": [self.package, f"{self.base.__module__}:{self.base.__qualname__}"]}


def one_of(package: str, base: type[Part], *, default: str | None = None) -> Any:
    """Metadata for a field that holds one part of a package.

    `pulse: Annotated[PulseLaw, one_of("devices.pulse", PulseLaw)]`; `default` is the kind of a mapping that names none.
    """
    return _OneOf(package, base, default)
