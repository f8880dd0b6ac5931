"""Plugins: Python modules that register words or heads when they are imported. Imports no torch.

They are found by entry points of the groups `detkds.words` and `detkds.heads`, by `plugins:` of a run.yaml, or imported in a notebook. What
a process has loaded is handed to the processes that work for it, which load the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from detkds.errors import ConfigError, DetKDSError

GROUPS = ("detkds.words", "detkds.heads")

VARIABLE = "DETKDS_PLUGINS"
"""The environment variable by which the processes that a process starts learn what it has loaded."""

_loaded: dict[str, None] = {}
"""Modules that `load` imported, in their order."""
_settled: set[bool] = set()
"""Holds True once it was said what to load."""
_sources: dict[tuple[str, str], str] = {}
"""Module and name of what was registered to its source."""


def installed() -> tuple[str, ...]:
    """The modules that installed packages announce, sorted."""
    return tuple(sorted({point.module for group in GROUPS for point in entry_points(group=group)}))


def discover() -> None:
    """Load what is installed, once, unless `load` was asked for something before: a task of a run has what the run names and no more.

    Raises:
        ConfigError: as `load`.
    """
    if not _settled:
        load(installed())


def loaded() -> str:
    """The modules that `load` has imported in this process, each with the digest of its sources, as another process's `load` takes them."""
    return ",".join(f"{name}@{_digest(name)}" for name in _loaded)


def load(modules: str | Iterable[str]) -> None:
    """Import modules, so that their words and heads are known here; those that are known already cost nothing.

    Args:
        modules: names such as `package.module`, or `package.module@DIGEST`, whose sources must have that digest; comma-separated in a text.

    Raises:
        ConfigError: one cannot be imported, registers nothing, or has other sources than where the run was started.
    """
    _settled.add(True)
    names = modules.split(",") if isinstance(modules, str) else list(modules)
    for name, _, digest in (name.strip().partition("@") for name in names):
        if name and name not in _loaded:
            _import(name)
            _loaded[name] = None
        if digest and digest != _digest(name):
            raise ConfigError(
                f"the plugin {name} has the sources {_digest(name)} here and {digest} where the run was started; "
                "install one version in both places, for a cluster in the image."
            )
    os.environ[VARIABLE] = loaded()


def inherit() -> None:
    """Load what the process that started this one has loaded.

    Raises:
        ConfigError: as `load`.
    """
    load(os.environ.get(VARIABLE, ""))


def note(registered: Callable[..., Any]) -> str:
    """Remember what a plugin registers, for `identity`; returns the module that it is defined in."""
    try:
        source = inspect.getsource(registered)
    except (OSError, TypeError):  # typed into a shell that keeps no source
        code = getattr(registered, "__code__", None)
        source = repr((code.co_code, code.co_consts, code.co_names)) if code else repr(registered)
    _sources[registered.__module__, registered.__qualname__] = source
    return registered.__module__


def identity() -> dict[str, str]:
    """All plugins of this process with the digests of their sources, as `plugins`; empty without any, so that identities stay.

    For a module in a file it covers every .py file of the module's package; for one typed in a notebook, what was registered.
    """
    modules = {module for module, _ in _sources} | set(_loaded)
    if not modules:
        return {}
    return {"plugins": ",".join(f"{module}@{_digest(module)}" for module in sorted(modules))}


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """A block that begins without plugins and forgets its own: for tests."""
    names, sources, settled, variable = dict(_loaded), dict(_sources), set(_settled), os.environ.pop(VARIABLE, None)
    for known in (_loaded, _sources, _settled):
        known.clear()
    try:
        yield
    finally:
        _loaded.clear()
        _loaded.update(names)
        _settled.clear()
        _settled.update(settled)
        _sources.clear()
        _sources.update(sources)
        os.environ.pop(VARIABLE, None)
        os.environ.update({} if variable is None else {VARIABLE: variable})


def _import(name: str) -> None:
    try:
        import_module(name)
    except DetKDSError as error:
        raise ConfigError(f"the plugin {name} is refused: {error}") from None
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"the plugin {name} cannot be imported: there is no module {error.name}; install its package or put its folder on "
                "PYTHONPATH, for a cluster in the image."
            ) from None
        raise ConfigError(f"the plugin {name} needs the module {error.name}, which is not installed; install it.") from None
    except Exception as error:  # a plugin is a program: its import may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"the plugin {name} failed while it was imported: {text[:300]}") from None
    if not any(module == name or module.startswith(f"{name}.") for module, _ in _sources):
        raise ConfigError(f"the plugin {name} registers neither a word nor a head; name the module that has the decorators.")


def _digest(module: str) -> str:
    """16 hexadecimal digits of sha256 over the sources of a module."""
    parts = [file.name.encode() + b"\0" + file.read_bytes() for file in _files(module)]
    own = [f"{name}\n{source}".encode() for (of, name), source in sorted(_sources.items()) if of == module]
    return hashlib.sha256(b"\0".join(parts or own)).hexdigest()[:16]


def _files(module: str) -> list[Path]:
    """The sources of a module: all of its top package, or its own file; none of what has no file."""
    top = sys.modules.get(module.partition(".")[0])
    own = getattr(sys.modules.get(module), "__file__", None)
    if top is not None and getattr(top, "__file__", None) and hasattr(top, "__path__"):
        return sorted(Path(str(top.__file__)).parent.rglob("*.py"))
    return [Path(own)] if own and Path(own).suffix == ".py" and Path(own).exists() else []
