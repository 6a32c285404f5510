"""A user's own torch module from `file.py:factory`, with the weights of a checkpoint.

The file is executed because the user named it; the checkpoint is only ever read as tensors (`weights_only=True`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_SHOWN = 3
"""Names listed in a message before it says how many more there are."""


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
    file = _import(path)
    if name not in vars(file):
        public = [key for key, value in vars(file).items() if callable(value) and not key.startswith("_")]
        raise UserError(f"model: {path} defines no '{name}'{did_you_mean(name, public) or ''}")
    made = vars(file)[name]
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UserError(f"model: {reference} is a {type(made).__name__}, not a function or a torch module")
        try:
            made = made()
        except Exception as error:  # the user's own code, which may raise anything
            raise UserError(f"model: {reference}() failed: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"model: {reference}() must return a torch.nn.Module (got {type(made).__name__})")
    return made


def load_checkpoint(module: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint into a module; all of them must be there, with the right shapes and finite.

    The file is what `torch.save(model.state_dict(), path)` writes, or that in a dict under "state_dict" or
    "model_state_dict"; the prefixes that DataParallel ("module.") and torch.compile ("_orig_mod.") add are taken off.

    Raises:
        UserError: not such a file, or it does not fit the module.
    """
    found = read_checkpoint(path)
    own = module.state_dict()
    for prefix in ("module.", "_orig_mod."):
        if found and all(key.startswith(prefix) for key in found) and not any(key.startswith(prefix) for key in own):
            found = {key[len(prefix) :]: value for key, value in found.items()}
    problems = []
    for key, wanted in own.items():
        if key in found and tuple(found[key].shape) != tuple(wanted.shape):
            problems.append(f"{key} has shape {tuple(found[key].shape)}, the model needs {tuple(wanted.shape)}")
    # Counters of batch normalisation are of no use here, and old checkpoints lack them.
    missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
    extra = [key for key in found if key not in own]
    if missing:
        problems.append(f"lacks {_some(missing)}")
    if extra:
        problems.append(f"has unknown {_some(extra)}")
    for key, value in found.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            problems.append(f"{key}: {bad} of {value.numel()} values are NaN or infinite")
    if problems:
        raise UserError(f"checkpoint {path}: {'; '.join(problems)}")
    module.load_state_dict(found, strict=False)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name. Raises UserError."""
    if not path.is_file():
        raise UserError(f"checkpoint: no such file: {path}")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path}: not a file of tensors only, so it is not read (it could run code); "
            f"save it by torch.save(model.state_dict(), path)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint {path}: cannot be read by torch: {_first_line(error)}") from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"checkpoint {path}: must hold a state_dict, names with tensors (got {type(content).__name__})")
    return {str(key): value for key, value in content.items()}


def _import(path: Path) -> ModuleType:
    """Execute the file as a module of its own; it may import its neighbours."""
    unique = "analog_hil_user_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise UserError(f"model: {path} is not a Python file")
    file = importlib.util.module_from_spec(spec)
    sys.modules[unique] = file  # dataclasses and pickle look classes up by module name
    try:
        with _neighbours(path.resolve().parent):
            spec.loader.exec_module(file)
    except Exception as error:  # the user's own code, which may raise anything
        del sys.modules[unique]
        raise UserError(f"model: {path} cannot be imported: {type(error).__name__}: {_first_line(error)}") from error
    return file


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let imports find files of a folder, after everything that is installed."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
