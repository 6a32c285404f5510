"""The base of every model a user's file is checked against.

Never coerces: a text is no number, `true` is no 1, a misspelt key is an error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from analog_sim.config.described import descriptions, summary
from analog_sim.config.errors import did_you_mean, shown
from analog_sim.config.tree import Resolver


class StrictModel(BaseModel):
    """Frozen model.

    Unknown keys, wrong types, NaN and infinity are refused; lists of a file become tuples; defaults are checked
    too.

    Fields are scalars, `Annotated[float, Q(...)]`, tuples, other StrictModels and parts; not lists or sets, which
    could be changed.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        populate_by_name=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )

    # Dotted paths whose text names another YAML file to put in its place, with how to find it; see `load_config`.
    config_references: ClassVar[Mapping[str, Resolver]] = MappingProxyType({})

    # Whether `analog-hil sweep` runs files of this model.
    config_sweeps: ClassVar[bool] = False

    # Key that may be null -> what null means there, for the message to somebody who writes 0.
    null_means: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if _mentions_list(field.annotation):
                raise TypeError(f"{cls.__name__}.{name}: use tuple[...] instead of list or set: models are immutable")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema for editors, with what the docstring says of every key."""
        schema = handler(core_schema)
        model = handler.resolve_ref_schema(schema)
        model["description"] = summary(cls)
        for name, text in descriptions(cls).items():
            key = cls.model_fields[name].alias or name
            if key in model.get("properties", {}):
                unit = model["properties"][key].get("description")
                model["properties"][key]["description"] = text if unit in (None, text) else f"{text} ({unit})"
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _explain_unknown_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, str):
            return _of_text(cls, data, handler)
        if not isinstance(data, Mapping):
            return handler(data)
        names = {alias: alias for alias in allowed_keys(cls)} | {name: name for name in cls.model_fields}
        known = {key: _as_tuples(value) for key, value in data.items() if key in names}
        unknown = [key for key in data if key not in names]
        if not unknown:
            return _checked(cls, known, handler)
        details: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError(
                    "config_unknown",
                    "{message}",
                    {"message": unknown_key(str(key), allowed_keys(cls), key_below(cls, str(key)))},
                ),
                "loc": (str(key),),
                "input": data[key],
            }
            for key in unknown
        ]
        try:
            _checked(cls, known, handler)
        except ValidationError as error:
            details = [_again(line) for line in error.errors(include_url=False)] + details
        raise ValidationError.from_exception_data(cls.__name__, details)


def allowed_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys a file may hold for a model, in the order of its fields."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def key_below(model: type[BaseModel], key: str) -> str | None:
    """Return `part.key` where exactly one of the model's parts has such a key: `training.loss` for `loss`."""
    found = {
        f"{field.alias or name}.{key}"
        for name, field in model.model_fields.items()
        for part in _models_in(field.annotation)
        if key in allowed_keys(part)
    }
    return found.pop() if len(found) == 1 else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (tuple, list, dict):
        return []  # a list of parts: which of them is not known
    return [model for each in get_args(annotation) for model in _models_in(each)]


def unknown_key(key: str, allowed: tuple[str, ...], below: str | None = None) -> str:
    """Return the message for a key that is not allowed; below: where it is one."""
    hint = did_you_mean(key, allowed) or (f", did you mean '{below}'?" if below else "")
    return f"unknown key '{key}'{hint or ';'} allowed: {', '.join(allowed) or '(none)'}"


def _again(line: Any) -> InitErrorDetails:
    """Turn a reported error back into one that can be raised with others."""
    context = line.get("ctx", {})
    kind = line["type"]
    error = PydanticCustomError(kind, "{message}", context) if "message" in context else kind
    return {"type": error, "loc": line["loc"], "input": line["input"], "ctx": context}


def _of_text(model: type[StrictModel], text: str, handler: ModelWrapValidatorHandler[Any]) -> Any:
    """Check a text where a mapping is wanted; a model with one required key says how to write it: `{name: digits}`."""
    required = [field.alias or name for name, field in model.model_fields.items() if field.is_required()]
    try:
        return handler(text)
    except ValidationError as error:
        if len(required) != 1 or [line["loc"] for line in error.errors()] != [()]:
            raise
        try:
            handler({required[0]: text})
        except ValidationError:
            raise error from None
    message = f"must be a mapping of keys to values; write {{{required[0]}: {text}}} (got {shown(text)})"
    raise PydanticCustomError("config", "{message}", {"message": message})


def _checked(model: type[StrictModel], data: Mapping[str, Any], handler: ModelWrapValidatorHandler[Any]) -> Any:
    """Check a mapping; a zero where the key may be null is told so, because 0 means "none" in other programs."""
    try:
        return handler(data)
    except ValidationError as error:
        lines, first = error.errors(include_url=False), error
    optional = {f.alias or n: n for n, f in model.model_fields.items() if type(None) in get_args(f.annotation)}
    details: list[InitErrorDetails] = []
    told = False
    for line in lines:
        detail = _again(line)
        key = str(line["loc"][0]) if line["loc"] else ""
        bound = {"greater_than": "> {gt}", "greater_than_equal": ">= {ge}"}.get(line["type"])
        if bound is not None and len(line["loc"]) == 1 and line["input"] == 0 and key in optional:
            wanted = bound.format(**line["ctx"])
            none = model.null_means.get(optional[key], "none")
            message = f"must be {wanted}; leave it out, or null, for {none} (got {line['input']})"
            detail["type"] = PydanticCustomError("config", "{message}", {"message": message})
            told = True
        details.append(detail)
    if not told:
        raise first
    raise ValidationError.from_exception_data(model.__name__, details)


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return tuple(_as_tuples(item) for item in value)
    return value


def _mentions_list(annotation: Any) -> bool:
    if annotation in (list, set) or get_origin(annotation) in (list, set):
        return True
    return any(_mentions_list(argument) for argument in get_args(annotation) if not isinstance(argument, str))
