"""What a genome's words mean: distillation losses on the common views of student and teacher. Imports torch, no detector."""

from detkds.losses import boxes, distances, general, regions, transforms  # they attach the functions to the words
from detkds.losses.distill import DistillLoss, RecipeLoss
from detkds.losses.filter import Signature, reject_on_probe, signature
from detkds.losses.views import Response, Views

__all__ = [
    "DistillLoss", "RecipeLoss", "Response", "Signature", "Views", "boxes", "distances", "general", "regions", "reject_on_probe",
    "signature", "transforms",
]  # fmt: skip
