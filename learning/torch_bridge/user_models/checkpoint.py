"""The weights of a checkpoint file, put into a module that they fit. The file is only ever read as tensors (`weights_only=True`)."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from analog_sim.config import UserError
from learning.torch_bridge.checks import PERIPHERY

Tensors = dict[str, Tensor]
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_INSERTED = ("module", "_orig_mod")
"""Parts of a name that DataParallel and torch.compile put in, at any depth."""
_UNUSED = ("num_batches_tracked", "n_averaged")
"""Last parts of names that are of no use here: counters of batch normalisation (old checkpoints lack them), of averaging."""
SAVE = "save it by torch.save(model.state_dict(), path)"
_KEYS = 6
"""Keys of a foreign checkpoint that a message lists."""
_SHOWN = 3
"""Names listed in a message before it says how many more there are."""


def load_checkpoint(module: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint into a module; all of them must be there, with the right shapes, types and finite.

    The file is what `torch.save(model.state_dict(), path)` writes, or that in a dict under "state_dict" or "model_state_dict". What
    trainers put before the names ("model.", "module.", "_orig_mod." or any other prefix, in any order) is taken off when the names
    then fit; masks of pruning are multiplied in where the module has plain weights.

    Raises:
        UserError: not such a file, or it does not fit the module. The module is then as it was.
    """
    own = module.state_dict()
    found, off = _named_alike(read_checkpoint(path), own)
    problems = _mismatches(found, own)
    missing = [key for key in own if key not in found and not key.endswith(_UNUSED) and isinstance(own[key], Tensor)]
    extra = [key for key in found if key not in own]
    if missing:
        problems.append(f"lacks {_some(missing)}")
    if extra:
        problems.append(f"has unknown {_some(extra)}")
    if any(key.endswith("_extra_state") for key in extra):
        problems.append("it was saved from a module on tiles; give the checkpoint of the torch module")
    if off and (missing or extra):
        problems.append(f"looked at without the prefix '{off}'")
    problems += _not_finite(module, found)
    if problems:
        raise UserError(f"checkpoint {path}: {'; '.join(problems)}")
    try:
        module.load_state_dict(found, strict=False)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise UserError(f"checkpoint {path}: does not fit the model: {_first_line(error)}") from error


def read_checkpoint(path: Path) -> Tensors:
    """Return the tensors of a checkpoint by name. Raises UserError."""
    if not path.is_file():
        raise UserError(f"checkpoint: no such file: {path}")
    if not path.stat().st_size:
        raise UserError(f"checkpoint {path}: is empty (0 bytes); {SAVE}")
    _refuse_damage(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path}: not a file of tensors only, so it is not read (it could run code); {SAVE}"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"checkpoint {path}: cannot be read by torch: {_first_line(error) or type(error).__name__}"
        ) from error
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(
            f"checkpoint {path}: must hold a state_dict, names with tensors (got {_found(content)}); {SAVE}"
        )
    if not content:
        raise UserError(f"checkpoint {path}: is empty, it holds no tensors; {SAVE}")
    return {str(key): value.to_dense() if value.layout != torch.strided else value for key, value in content.items()}


def _refuse_damage(path: Path) -> None:
    """Compare every record of the archive with its checksum, which torch does not. Raises UserError."""
    try:
        if not zipfile.is_zipfile(path):
            return  # as torch saved before 1.6, or no checkpoint: torch says which
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise UserError(f"checkpoint {path}: is damaged: {_first_line(error) or type(error).__name__}") from error
    if bad is not None:
        raise UserError(f"checkpoint {path}: is damaged: '{bad}' differs from its checksum")


def _named_alike(found: Tensors, own: Mapping[str, Any]) -> tuple[Tensors, str]:
    """The tensors under the module's own names as far as that can be, and the prefix that was taken off ("": none)."""
    candidates = [("", found)]
    inner = {_without_inserted(key): value for key, value in found.items()}
    if len(inner) == len(found):
        candidates.append(("", inner))
    for off, named in list(candidates):
        candidates += [(f"{off}{prefix}", short) for prefix, short in _without_prefixes(named)]
    plain = {_without_inserted(key): key for key in own}  # the module may be wrapped itself
    candidates += [(off, {plain.get(key, key): value for key, value in named.items()}) for off, named in candidates]
    candidates += [(off, _pruned(named, own)) for off, named in candidates]

    def misfit(candidate: tuple[str, Tensors]) -> int:
        named = {key for key in candidate[1] if not key.endswith(_UNUSED)}
        return len(named ^ {key for key in own if not key.endswith(_UNUSED)})

    off, best = min(candidates, key=misfit)  # the first of the best, so that what fits as it is stays
    return {key: value for key, value in best.items() if not key.endswith(_UNUSED)}, off


def _without_inserted(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _INSERTED)


def _without_prefixes(named: Tensors) -> Iterable[tuple[str, Tensors]]:
    """The tensors without the first 1, 2, ... parts of their names, as long as all share them; counters need not."""
    off = ""
    while True:
        heads = {key.partition(".")[0] if "." in key else "" for key in named if not key.endswith(_UNUSED)}
        if len(heads) != 1 or "" in heads:
            return
        head = heads.pop() + "."
        off += head
        named = {key.removeprefix(head): value for key, value in named.items()}
        yield off, named


def _pruned(named: Tensors, own: Mapping[str, Any]) -> Tensors:
    """Pairs of `x_orig` and `x_mask`, as torch's pruning keeps them, as `x` where the module has that."""
    result = dict(named)
    for key in named:
        base = key.removesuffix("_orig")
        if base != key and base in own and key not in own and f"{base}_mask" in named:
            result[base] = result.pop(key) * result.pop(f"{base}_mask")
    return result


def _mismatches(found: Tensors, own: Mapping[str, Any]) -> list[str]:
    problems = []
    for key, wanted in own.items():
        if key not in found or not isinstance(wanted, Tensor) or key.endswith(_UNUSED):
            continue
        if tuple(found[key].shape) != tuple(wanted.shape):
            problems.append(f"{key} has shape {tuple(found[key].shape)}, the model needs {tuple(wanted.shape)}")
        elif _kind(found[key]) != _kind(wanted):
            given, needed = (str(value.dtype).removeprefix("torch.") for value in (found[key], wanted))
            problems.append(f"{key} holds {given}, the model needs {needed}")
    return problems


def _kind(value: Tensor) -> str:
    if value.is_complex():
        return "complex"
    return "floating" if value.is_floating_point() else "quantised" if value.is_quantized else "integer"


def _not_finite(module: nn.Module, found: Tensors) -> list[str]:
    """Parameters, and statistics of normalisations, that are not finite; other buffers, such as masks, may be infinite."""
    owners = dict(module.named_modules(remove_duplicate=False))
    own = {
        *(name for name, _ in module.named_parameters(remove_duplicate=False)),
        *(name for name, _ in module.named_buffers() if isinstance(owners[name.rpartition(".")[0]], PERIPHERY)),
    }
    problems = []
    for key, value in found.items():
        if key in own and value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            problems.append(f"{key}: {bad} of {value.numel()} values are NaN or infinite")
    return problems


def _found(content: Any) -> str:
    """What a checkpoint holds in place of tensors by name: its keys, and the one that looks like a state_dict."""
    if not isinstance(content, Mapping):
        return type(content).__name__
    weights = [key for key, value in content.items() if _tensors(value)]
    keys = ", ".join(f"'{key}'" for key in list(map(str, content))[:_KEYS])
    more = f" and {len(content) - _KEYS} more" if len(content) > _KEYS else ""
    hint = (
        f"; the weights seem to be under '{weights[0]}': torch.save(content['{weights[0]}'], path)" if weights else ""
    )
    return f"a dict with the keys {keys}{more}{hint}"


def _tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
