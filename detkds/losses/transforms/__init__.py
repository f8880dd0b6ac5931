"""What the transform words mean: one table a slot, semantics to word to function."""

from detkds.losses.transforms.attention import ATTENTIONS, FOCUS, no_attention
from detkds.losses.transforms.normalise import NORMS
from detkds.losses.transforms.response import LOCALIZATION_TRANSFORMS, LOGITS_TRANSFORMS
from detkds.losses.transforms.scale import REDUCTION, SCALES

__all__ = ["ATTENTIONS", "FOCUS", "LOCALIZATION_TRANSFORMS", "LOGITS_TRANSFORMS", "NORMS", "REDUCTION", "SCALES", "no_attention"]
