"""Networks of the package timm, built without weights and without a download; imported only where a run names one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from detkds.errors import ConfigError

INSTALL = "pip install --no-deps 'timm>=1.0.31,<1.1'"
"""Without what timm names as its dependencies: torchvision would bring another torch, and its networks do without (docs/adr/0031)."""


def build(name: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A network of timm with random weights.

    One that is made for a single image size, such as a ViT, is built so that it accepts others, where timm can do that.

    Args:
        name: as timm lists it, such as `convnext_tiny.fb_in1k`.
        options: further arguments of `timm.create_model`.

    Raises:
        ConfigError: timm is not installed, has no such network, or cannot build it with these options.
    """
    timm, given = _timm(), dict(options or {})
    if not timm.is_model(name.partition(".")[0]):
        near = get_close_matches(name, timm.list_models(), n=1)
        raise ConfigError(f"timm has no network {name!r}" + (f"; did you mean {near[0]}?" if near else "; timm.list_models() lists them."))
    try:
        try:
            built: nn.Module = timm.create_model(name, pretrained=False, **{"dynamic_img_size": True, **given})
        except TypeError:  # most networks have no such argument, since they accept every size
            built = timm.create_model(name, pretrained=False, **given)
    except Exception as error:  # constructors of many networks: anything may come out of them
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(f"timm cannot build {name}: {reason}.") from error
    if not hasattr(built, "forward_intermediates"):
        raise ConfigError(f"timm's {name} has no forward_intermediates, which returns feature maps; take another network.")
    return built


def _timm() -> Any:
    if find_spec("timm") is None:
        raise ConfigError(f"the package timm is not installed, and a teacher timm/… needs it; install it: {INSTALL}.")
    with _without_torchvision():
        import timm
    return timm


class FrozenBatchNorm2d(nn.Module):
    """Stands for the class of this name in torchvision, which timm only compares types with unless its user freezes batch norms."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        raise ConfigError("FrozenBatchNorm2d is a class of torchvision, which is not installed.")


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Where torchvision cannot be imported: stand-ins for the one class that timm's networks name, and for `timm.data`, whose data sets and
    transforms need all of torchvision, and of which the networks use constants."""
    if "timm" in sys.modules or _has_torchvision():
        yield
        return
    spec = find_spec("timm")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    data = ModuleType("timm.data")
    data.__path__ = [str(folder)]
    data.__dict__.update({name: value for name, value in vars(_module(folder / "constants.py")).items() if name.isupper()})
    parts = {name: ModuleType(name) for name in ("torchvision", "torchvision.ops", "torchvision.ops.misc")}
    parts["torchvision.ops.misc"].FrozenBatchNorm2d = FrozenBatchNorm2d  # type: ignore[attr-defined]
    sys.modules.update({**parts, "timm.data": data})
    try:
        yield
    finally:
        for name in parts:  # what else looks for torchvision must not find these
            sys.modules.pop(name, None)


def _has_torchvision() -> bool:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError):  # the latter two: one that was built for another torch
        return False
    return True


def _module(path: Path) -> ModuleType:
    spec = spec_from_file_location("timm_constants", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
