"""Run a torch module once and note what flows where: which layers are called, on what, and who uses their outputs.

Only what happens counts, so functional code, residuals and control flow are seen as they run, without tracing. It never
changes the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_LEAKS = ("item", "tolist", "numpy", "__bool__", "__float__", "__int__")
"""Functions that take a value out of a tensor without returning one."""


@dataclass
class Call:
    """One call of a layer: its input, its output, and which modules (by name) used that output."""

    input: Tensor
    output: Tensor
    users: list[str] = field(default_factory=list)


@dataclass
class Observation:
    """What one run of a module showed.

    Attributes:
        output: what the module returned.
        calls: name of every leaf module that was called -> its calls in order.
        loose: names of parameters that were used outside the leaf module they belong to.
    """

    output: Any = None
    calls: dict[str, list[Call]] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)


def observe(module: nn.Module, x: Tensor) -> Observation:
    """Run `module` on x without gradients and return what was seen. Whatever the module raises comes through."""
    seen = Observation()
    stack: list[str] = []
    leaves = {name: child for name, child in module.named_modules() if not any(True for _ in child.children())}
    owners = {
        id(parameter): (name, f"{name}.{key}" if name else key)
        for name, owner in module.named_modules()
        for key, parameter in owner.named_parameters(recurse=False)
    }
    producers: dict[int, list[Call]] = {}
    keep: list[Tensor] = []  # a tensor that died would lend its id to another
    with ExitStack() as hooks, torch.no_grad():
        for name, leaf in leaves.items():
            before = leaf.register_forward_pre_hook(_entering(stack, name))
            after = leaf.register_forward_hook(_leaving(stack, name, seen, producers, keep), always_call=False)
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        hooks.enter_context(_Uses(stack, owners, producers, seen))
        seen.output = module(x)
    for tensor in tensors(seen.output):
        for call in producers.get(id(tensor), ()):
            call.users.append("")
    return seen


def _entering(stack: list[str], name: str) -> Callable[[nn.Module, Any], None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        stack.append(name)

    return hook


def _leaving(
    stack: list[str], name: str, seen: Observation, producers: dict[int, list[Call]], keep: list[Tensor]
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        stack.pop()
        given = next(tensors(inputs), None)
        if given is None or not isinstance(output, Tensor):
            return
        call = Call(given, output)
        seen.calls.setdefault(name, []).append(call)
        keep.extend((given, output))
        if output is not given:  # an identity passes on what another layer made
            producers.setdefault(id(output), []).append(call)

    return hook


class _Uses(TorchFunctionMode):
    """Note every torch function that reads a layer's output, or a parameter outside its own layer."""

    def __init__(
        self,
        stack: list[str],
        owners: Mapping[int, tuple[str, str]],
        producers: Mapping[int, Sequence[Call]],
        seen: Observation,
    ) -> None:
        super().__init__()
        self._stack, self._owners, self._producers, self._seen = stack, owners, producers, seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        carries = next(tensors(result), None) is not None or getattr(func, "__name__", "") in _LEAKS
        if carries:
            here = self._stack[-1] if self._stack else ""
            for tensor in tensors((args, kwargs or {})):
                owner, name = self._owners.get(id(tensor), (here, ""))
                if owner != here:
                    self._seen.loose.add(name)
                for call in self._producers.get(id(tensor), ()):
                    call.users.append(here)
        return result


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)
