"""DetKDS: knowledge distillation search for object detectors, as a library, a command line and a Kubeflow pipeline.

What a notebook needs is here; docs/notebooks has a page for each use. Everything is imported when it is first used, so `import detkds`
costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detkds.detectors.heads.register import head
    from detkds.detectors.student import Student
    from detkds.errors import ConfigError, DatasetError, DetKDSError, GenomeError, Rejected
    from detkds.evaluation.predictions import Prediction, draw
    from detkds.genome import Genome, Knowledge, Recipe
    from detkds.genome.presets import preset
    from detkds.losses.loss import loss
    from detkds.losses.plugins import distance, region, transform
    from detkds.losses.views import Response
    from detkds.objective import Outcome
    from detkds.pipeline.run import Run
    from detkds.search.function_study import study
    from detkds.search.study import Study
    from detkds.search.trial import Trial

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DatasetError",
    "DetKDSError",
    "Genome",
    "GenomeError",
    "Knowledge",
    "Outcome",
    "Prediction",
    "Recipe",
    "Rejected",
    "Response",
    "Run",
    "Student",
    "Study",
    "Trial",
    "distance",
    "draw",
    "head",
    "loss",
    "preset",
    "region",
    "study",
    "transform",
]

_HOMES = {
    "detkds.detectors.heads.register": ("head",),
    "detkds.errors": ("ConfigError", "DatasetError", "DetKDSError", "GenomeError", "Rejected"),
    "detkds.genome": ("Genome", "Knowledge", "Recipe"),
    "detkds.genome.presets": ("preset",),
    "detkds.losses.loss": ("loss",),
    "detkds.losses.plugins": ("distance", "region", "transform"),
    "detkds.losses.views": ("Response",),
    "detkds.objective": ("Outcome",),
    "detkds.search.function_study": ("study",),
    "detkds.search.study": ("Study",),
    "detkds.search.trial": ("Trial",),
    "detkds.detectors.student": ("Student",),
    "detkds.evaluation.predictions": ("Prediction", "draw"),
    "detkds.pipeline.run": ("Run",),
}
"""Module to the public names it has (PEP 562)."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'detkds' has no attribute {name!r}; it has {', '.join(__all__)}")
    import_module("detkds.plugins").discover()
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
