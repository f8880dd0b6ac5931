"""Packages that mmdet and mmengine import and no detector here uses: they are imported when something of them is used (docs/adr/0033).

They take a third of the time of mmdet's import, with which every command and every task that builds a detector begins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

UNUSED = (
    "imgaug",  # augmentations of lane detection, with scipy.stats
    "scipy.interpolate",  # the same
    "matplotlib.pyplot",  # drawing
    "torch.distributed.fsdp",  # sharded models, with sympy; the next two are mmengine's wrappers of them
    "mmengine.model.wrappers.fully_sharded_distributed",
    "mmengine._strategy.fsdp",
    "mmengine.optim.optimizer.zero_optimizer",  # an optimizer for several machines, with torch.distributed.optim; training refuses it
)


@contextmanager
def deferred(packages: Sequence[str] = UNUSED) -> Iterator[None]:
    """A block in which an import of these packages binds stand-ins, unless they are imported already. Later imports are ordinary ones."""
    finder = _Finder([package for package in packages if package not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.forget(*finder.packages)


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins for packages and everything below them."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        inside = any(_within(fullname, package) for package in self.packages)
        return ModuleSpec(fullname, self, is_package=True) if inside else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Package(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """A stand-in has nothing to run."""

    def forget(self, *packages: str) -> None:
        """From here on these packages are imported as usual."""
        self.packages = [package for package in self.packages if package not in packages]
        for name, module in list(sys.modules.items()):
            if isinstance(module, _Package) and any(_within(name, package) for package in packages):
                del sys.modules[name]


def _within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


class _Package(ModuleType):
    """Stands for a package or module; its names are stand-ins inside the block, and the real ones after it."""

    def __init__(self, name: str, finder: _Finder) -> None:
        super().__init__(name)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Name(self, name) if sys.modules.get(self.__name__) is self else getattr(self.real(), name)

    def real(self) -> ModuleType:
        self._finder.forget(*(package for package in self._finder.packages if _within(self.__name__, package)))
        return import_module(self.__name__)


class _Name:
    """Stands for what `from package import name` asked for: it can be called, subclassed, used in isinstance, and has attributes."""

    def __init__(self, package: _Package, name: str) -> None:
        self._package, self._name = package, name

    @property
    def _real(self) -> Any:
        return getattr(self._package.real(), self._name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._real(*arguments, **named)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real,)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._real)
