"""A user's own torch module from `file.py:factory`. The file is executed because the user named it."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from learning.torch_bridge.user_models.checkpoint import load_checkpoint, read_checkpoint
from learning.torch_bridge.user_models.model_code import import_model, neighbours

__all__ = ["load_checkpoint", "load_factory", "read_checkpoint"]


def load_factory(reference: str) -> nn.Module:
    """Return the module that `path/to/file.py:name` makes: `name` is a function without arguments, a class, or a module.

    Raises:
        UserError: no such file or name; the file, the function or its result is not what it should be.
    """
    path_text, colon, name = reference.rpartition(":")
    path = Path(path_text).expanduser()
    if not colon or not name.isidentifier() or not path_text:
        raise UserError(f"model: must be FILE.py:NAME, for example my_model.py:build (got '{reference}')")
    if not path.is_file():
        raise UserError(f"model: no such file: {path}")
    file = import_model(path)
    if name not in vars(file):
        public = [key for key, value in vars(file).items() if callable(value) and not key.startswith("_")]
        raise UserError(f"model: {path} defines no '{name}'{did_you_mean(name, public) or ''}")
    made = vars(file)[name]
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UserError(f"model: {reference} is a {type(made).__name__}, not a function or a torch module")
        try:
            with neighbours(path.resolve().parent):  # the function may import as well
                made = made()
        except Exception as error:  # the user's own code, which may raise anything
            raise UserError(f"model: {reference}() failed: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"model: {reference}() must return a torch.nn.Module (got {type(made).__name__})")
    return made


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
