"""Run a torch module once and note what flows where: which layers are called, on what, and who uses their outputs.

Only what happens counts, so functional code, residuals and control flow are seen as they run, without tracing. It never
changes the module, and keeps no activation alive, so that a run costs the memory of an ordinary one.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_LEAKS = frozenset(
    [
        "item",
        "tolist",
        "numpy",
        "__array__",
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "__complex__",
        "__contains__",
        "equal",
        "allclose",
        "is_nonzero",
        "nonzero",
        "argwhere",
        "masked_select",
        "unique",
        "unique_consecutive",
    ]
)
"""Functions that take values out of tensors, or make a shape of them: what follows may depend on the inputs."""
_PRODUCTS = frozenset(
    [
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "bilinear",
        "matmul",
        "__matmul__",
        "__rmatmul__",
        "mm",
        "bmm",
        "mv",
        "addmm",
        "addmv",
        "baddbmm",
        "einsum",
        "tensordot",
        "scaled_dot_product_attention",
    ]
)
_OURS, _TORCHS = str(Path(__file__).parent), str(Path(torch.__file__).parent)


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        sources: calls whose very output was the input. dim: number of dimensions of the output.
        users: modules (by name) that used the output; "": code outside any leaf module.
    """

    sources: tuple[Call, ...]
    dim: int
    users: list[str] = field(default_factory=list)


@dataclass
class Observation:
    """What one run of a module showed.

    Attributes:
        output: what the module returned.
        calls: name of every leaf module that was called -> its calls in order.
        loose: names of parameters that were used outside the leaf module they belong to.
        decides: where a value that was computed from the inputs left the tensors first, so that what runs may depend on it
            (file:line of the user's code); "" when none did.
        products: where activations were multiplied outside Linear and Conv2d layers (file:line) -> by which function.
        autocast: whether something ran under torch.autocast.
    """

    output: Any = None
    calls: dict[str, list[Call]] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    decides: str = ""
    products: dict[str, str] = field(default_factory=dict)
    autocast: bool = False


class _Marks:
    """Values noted for tensors for as long as these live (a tensor that died would lend its id to another)."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}
        self._alive: dict[int, weakref.ref[Tensor]] = {}

    def get(self, tensor: Tensor) -> Any:
        return self._found.get(id(tensor))

    def put(self, tensor: Tensor, value: Any) -> None:
        key = id(tensor)
        self._found[key] = value
        self._alive[key] = weakref.ref(tensor, lambda _: self._drop(key))

    def _drop(self, key: int) -> None:
        self._found.pop(key, None)
        self._alive.pop(key, None)


def observe(module: nn.Module, x: Tensor) -> Observation:
    """Run `module` on x without gradients and return what was seen. Whatever the module raises comes through."""
    seen = Observation()
    stack: list[str] = []
    leaves = {name: child for name, child in module.named_modules() if not any(True for _ in child.children())}
    producers = _Marks()
    uses = _Uses(module, stack, producers, seen)
    with ExitStack() as hooks, torch.no_grad():
        for name, leaf in leaves.items():
            before = leaf.register_forward_pre_hook(_entering(stack, name))
            after = leaf.register_forward_hook(_leaving(stack, name, seen, producers, uses.derived))
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        uses.derived.put(x, True)
        hooks.enter_context(uses)
        seen.output = module(x)
    for tensor in tensors(seen.output):
        for call in producers.get(tensor) or ():
            call.users.append("")
    return seen


def _entering(stack: list[str], name: str) -> Callable[[nn.Module, Any], None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        stack.append(name)

    return hook


def _leaving(
    stack: list[str], name: str, seen: Observation, producers: _Marks, derived: _Marks
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        stack.pop()
        given = next(tensors(inputs), None)
        if not isinstance(output, Tensor):
            seen.calls.setdefault(name, []).append(Call((), 0, [""]))
            return
        call = Call(tuple(producers.get(given) or ()) if given is not None else (), output.dim())
        seen.calls.setdefault(name, []).append(call)
        if output is not given:  # an identity passes on what another layer made
            producers.put(output, [*(producers.get(output) or ()), call])
        if given is not None and derived.get(given):
            derived.put(output, True)

    return hook


class _Uses(TorchFunctionMode):
    """Note every torch function that reads a layer's output, a parameter outside its own layer, or a value of the inputs."""

    def __init__(self, module: nn.Module, stack: list[str], producers: _Marks, seen: Observation) -> None:
        super().__init__()
        self._stack, self._producers, self._seen = stack, producers, seen
        self.derived = _Marks()
        self._owners: dict[int, list[tuple[str, str]]] = {}
        self._layers: set[str] = set()
        for name, owner in module.named_modules():
            if isinstance(owner, nn.Linear | nn.Conv2d):
                self._layers.add(name)
            for key, parameter in owner.named_parameters(recurse=False):  # tied: one parameter, several owners
                self._owners.setdefault(id(parameter), []).append((name, f"{name}.{key}" if name else key))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [*tensors((args, kwargs or {}))]
        derived = any(self.derived.get(tensor) for tensor in given)
        result = func(*args, **(kwargs or {}))
        name, seen = getattr(func, "__name__", ""), self._seen
        made = [*tensors(result)]
        if derived:
            if name in _LEAKS and not seen.decides:
                seen.decides = _where()
            if name in _PRODUCTS and not (self._stack and self._stack[-1] in self._layers):
                seen.products.setdefault(_where(), name.strip("_"))
            for tensor in made or given[:1]:  # what returns nothing (`a[k] = b`) has written into its first argument
                self.derived.put(tensor, True)
        if made or name in _LEAKS:
            self._note_uses(given)
        seen.autocast |= any(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda"))
        return result

    def _note_uses(self, given: list[Tensor]) -> None:
        here = self._stack[-1] if self._stack else ""
        for tensor in given:
            owners = self._owners.get(id(tensor), ())
            if owners and all(owner != here for owner, _ in owners):
                self._seen.loose.update(name for _, name in owners)
            for call in self._producers.get(tensor) or ():
                call.users.append(here)


def _where() -> str:
    """file:line of the user's code that called the function now seen, or "torch's own code"."""
    frame = sys._getframe(2)  # who called __torch_function__
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        name = frame.f_code.co_filename
        if not name.startswith((_TORCHS, "<")):
            return f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "torch's own code"


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
