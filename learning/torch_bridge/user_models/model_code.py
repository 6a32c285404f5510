"""A user's model file: imported as a module of its own, always as it is on the disk now, with digests of all code it is made of.

The code of a model is its file and every Python file that it imports, however deep, except what is installed (the standard library,
site-packages) and this program: those have versions. Files that an import statement names count even when it did not run yet.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import learning
from analog_sim.config import UserError

_PREFIX = "analog_hil_user_"
_ROOT = Path(learning.__file__).resolve().parents[1]
_OURS = ("analog_sim", "devices", "learning", "scripts")
_INSTALLED = tuple(
    {str(Path(path).resolve()) for name, path in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))}
)


def import_model(path: Path) -> ModuleType:
    """Execute the file as a module of its own; it may import its neighbours, which are read anew as well.

    Raises:
        UserError: the file cannot be imported.
    """
    return _import(path)[0]


def model_code(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's code, by path relative to the model file's folder; the model file is executed.

    Raises:
        UserError: as `import_model`.
    """
    path = path.resolve()
    file, helpers = _import(path)
    found: dict[Path, str] = {}
    todo = [path, *(helper for module in helpers if (helper := _source(module)) is not None)]
    with neighbours(path.parent):
        while todo:
            one = todo.pop()
            if one in found:
                continue
            content = one.read_bytes()
            found[one] = hashlib.sha256(content).hexdigest()
            package = file.__package__ or "" if one == path else _package(one)
            todo += _imported(content, package)
    return {_relative(one, path.parent): found[one] for one in sorted(found)}


def _import(path: Path) -> tuple[ModuleType, list[ModuleType]]:
    """The module, and what else of the user's code was imported with it."""
    unique = _PREFIX + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise UserError(f"model: {path} is not a Python file")
    for earlier in [name for name in sys.modules if name.startswith(_PREFIX)]:
        # They may have been edited since, or be namesakes from the folder of another model.
        for helper in getattr(sys.modules[earlier], "__helpers__", ()):
            sys.modules.pop(helper, None)
    file = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[unique] = file  # dataclasses and pickle look classes up by module name
    importlib.invalidate_caches()
    try:
        with neighbours(path.resolve().parent):
            spec.loader.exec_module(file)
    except Exception as error:  # the user's own code, which may raise anything
        for name in (unique, *_helpers(before)):
            sys.modules.pop(name, None)
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"model: {path} cannot be imported: {type(error).__name__}: {first}") from error
    helpers = _helpers({*before, unique})
    file.__dict__["__helpers__"] = tuple(helpers)
    return file, list(helpers.values())


def _helpers(before: set[str]) -> dict[str, ModuleType]:
    """Modules of the user's that were imported since."""
    new = [name for name in sys.modules if name not in before]
    return {name: sys.modules[name] for name in new if _source(sys.modules[name]) is not None}


@contextmanager
def neighbours(folder: Path) -> Iterator[None]:
    """Let imports find files of a folder, after everything that is installed, and leave no compiled copies of them.

    A compiled copy is taken for current by the second and the length of its source: too coarse for a file that was just edited.
    """
    sys.path.append(str(folder))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
        with suppress(ValueError):  # the user's code may have taken it out
            sys.path.remove(str(folder))


def _source(module: ModuleType) -> Path | None:
    """The Python file of a module of the user's; None for anything else."""
    name = getattr(module, "__file__", None)
    return _users(name) if isinstance(name, str) else None


def _users(name: str) -> Path | None:
    path = Path(name).resolve()
    ours = path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _OURS
    installed = str(path).startswith(_INSTALLED) or {"site-packages", "dist-packages"} & set(path.parts)
    return path if path.suffix == ".py" and path.is_file() and not ours and not installed else None


def _imported(content: bytes, package: str) -> Iterator[Path]:
    """Files of the user's that the import statements of a source name, wherever in it they stand."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [base, *(f"{base}{'' if base.endswith('.') else '.'}{alias.name}" for alias in node.names)]
        for name in names:
            with suppress(ImportError, ValueError, AttributeError, KeyError):
                absolute = importlib.util.resolve_name(name, package) if name.startswith(".") else name
                yield from _files(absolute)


def _files(name: str) -> Iterator[Path]:
    """The files of a module and of the packages around it."""
    if name.partition(".")[0] in (*sys.stdlib_module_names, "torch", "numpy", *_OURS):
        return
    parts = name.split(".")
    for k in range(1, len(parts) + 1):
        one = ".".join(parts[:k])
        loaded = sys.modules.get(one)
        where = getattr(loaded, "__file__", None) if loaded is not None else None
        if loaded is None:
            spec = importlib.util.find_spec(one)
            where = spec.origin if spec is not None else None
        if isinstance(where, str) and (path := _users(where)) is not None:
            yield path


def _package(path: Path) -> str:
    """The package that a file belongs to, by which module it was loaded as."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and name.endswith(path.name) and Path(name).resolve() == path:
            return module.__package__ or ""
    return ""


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
