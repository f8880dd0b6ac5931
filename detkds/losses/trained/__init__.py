"""Words with modules of their own, which train beside the student and are no part of it."""

from detkds.losses.trained.modules import MODULES, TrainedModules

__all__ = ["MODULES", "TrainedModules"]
