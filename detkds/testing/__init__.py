"""Contracts for what you add to DetKDS: subclass one in your tests, and pytest holds your part against what the project's own keep.

They need pytest (`pip install "detkds[testing]"`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detkds.testing.designer import DesignerContract
    from detkds.testing.heads import HeadContract
    from detkds.testing.losses import DistanceContract, LossContract, RegionContract, TransformContract
    from detkds.testing.store import StoreContract

__all__ = [
    "DesignerContract", "DistanceContract", "HeadContract", "LossContract", "RegionContract", "StoreContract", "TransformContract",
]  # fmt: skip

_HOME_OF = {
    "DesignerContract": "designer",
    "DistanceContract": "losses",
    "HeadContract": "heads",
    "LossContract": "losses",
    "RegionContract": "losses",
    "StoreContract": "store",
    "TransformContract": "losses",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'detkds.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"detkds.testing.{_HOME_OF[name]}"), name)
