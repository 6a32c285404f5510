"""How a check inside a model refuses a value in plain words. Never knows where the value was written: that is added later."""

from pydantic_core import PydanticCustomError


def refuse(message: str) -> PydanticCustomError:
    """Return an error to raise for the value being checked; the message may end with `(got ...)`."""
    return PydanticCustomError("config", "{message}", {"message": message})


def at_key(key: str, message: str) -> PydanticCustomError:
    """Return an error to raise in a check of a whole model that is reported at one of its keys.

    `raise at_key("g_min", "must be < g_max")`
    """
    return PydanticCustomError("config", "{message}", {"message": message, "key": key})
