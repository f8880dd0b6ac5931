"""torch's compiler, imported when something is compiled (docs/adr/0033).

torch's optimizers import it in their first step, with sympy and half of torch.distributed, only to say that it is not to look at them. With
the real one every training would begin two seconds later, also where nothing is compiled.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


def defer_compiler() -> None:
    """An import of the compiler binds a stand-in, unless it is imported already; the first use of it imports the real one."""
    if NAME not in sys.modules:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        sys.modules[NAME] = finder.compiler


class _Compiler(ModuleType):
    """Does nothing for the two calls of an optimizer that is not compiled; everything else is the real compiler's."""

    def __init__(self, finder: _Finder) -> None:
        super().__init__(NAME)
        self.__spec__, self.__path__ = ModuleSpec(NAME, finder, is_package=True), []
        self._finder = finder
        self._hidden: list[Any] = []

    def disable(self, fn: Any = None, recursive: bool = True, *, wrapping: bool = True, **more: Any) -> Any:
        """The function itself, where torch hides its own; torch keeps the answer on the function, until there is a compiler."""
        if wrapping or sys.modules.get(NAME) is not self:
            return self.real().disable(fn, recursive, wrapping=wrapping, **more)
        self._hidden.append(fn)
        return fn

    def graph_break(self, *args: Any, **named: Any) -> None:
        """Outside what is compiled the real one does nothing either."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.real(), name)

    def real(self) -> ModuleType:
        """The compiler; torch asks it again about the functions that it hides."""
        if sys.modules.get(NAME) is self:
            sys.meta_path.remove(self._finder)
            del sys.modules[NAME]
            for function in self._hidden:
                vars(function).pop("__dynamo_disable", None)
        return import_module(NAME)


class _Finder(MetaPathFinder, Loader):
    """Answers the first import of a module inside the compiler with the real one."""

    def __init__(self) -> None:
        self.compiler = _Compiler(self)
        self._loaded: ModuleType | None = None
        self._own: ModuleSpec | None = None

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not fullname.startswith(f"{NAME}."):
            return None
        self.compiler.real()
        # Python's import would run a module again that the import of its package has loaded in the meantime.
        self._loaded = sys.modules.pop(fullname, None)
        return ModuleSpec(fullname, self) if self._loaded else find_spec(fullname)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        self._own = self._loaded.__spec__ if self._loaded else None
        return self._loaded

    def exec_module(self, module: ModuleType) -> None:
        """It has run; its own description is put back, where it let go of it: the compiler's settings let nobody set anything else."""
        with suppress(AttributeError):
            module.__spec__ = self._own
