"""The words a genome may use, slot by slot: those of Tables 2 and 5 of the paper, and those of other known methods.

The losses give them meaning; docs/genome.md lists them.
"""

from __future__ import annotations

from enum import StrEnum


class Knowledge(StrEnum):
    """What of the teacher is imitated: the five terms of Eq. 1, in the order of Alg. 1, line 1."""

    GLOBAL = "global"
    FGBG = "fgbg"
    INSTANCE = "instance"
    LOGITS = "logits"
    LOCALIZATION = "localization"

    @property
    def is_feature(self) -> bool:
        """True where neck levels are compared, False where head responses are."""
        return self in (Knowledge.GLOBAL, Knowledge.FGBG, Knowledge.INSTANCE)


SEMANTICS = ("paper", "released")

NONE = "none"
ATTENTIONS = (NONE, "satt", "catt", "mask")
SCALES = (NONE, "scale_1", "scale_2", "scale_4", "local_1", "local_2", "local_4")
NORMS = (NONE, "norm_HW", "norm_C", "norm_N", "norm_minmax", "norm_batch")
FEATURE_DISTANCES = ("l1", "l2", "smooth_l1", "kl", "cosine", "pearson", "ssim")

LOGITS_TRANSFORMS = (
    NONE, "norm_N", "norm_C", "norm_minmax", "reshape_N", "reshape_C", "softmax_N", "softmax_C", "norm_batch",
)  # fmt: skip
LOGITS_DISTANCES = ("l1", "l2", "smooth_l1", "kl", "cosine", "pearson", "cor")
LOCALIZATION_TRANSFORMS = (NONE, "softmax_N", "softmax_C", "pow2", "sigmoid")
LOCALIZATION_DISTANCES = ("iou", "ciou", "eiou", "giou", "diou")

WEIGHTS = (0.1, 0.5, 1.0, 2.0, 5.0, 8.0, 10.0)

_FEATURE_SLOTS = {"attention": ATTENTIONS, "scale": SCALES, "norm": NORMS, "distance": FEATURE_DISTANCES}
PAPER_SLOTS: dict[Knowledge, dict[str, tuple[str, ...]]] = {
    Knowledge.GLOBAL: _FEATURE_SLOTS,
    Knowledge.FGBG: _FEATURE_SLOTS,
    Knowledge.INSTANCE: _FEATURE_SLOTS,
    Knowledge.LOGITS: {"transform": LOGITS_TRANSFORMS, "distance": LOGITS_DISTANCES},
    Knowledge.LOCALIZATION: {"transform": LOCALIZATION_TRANSFORMS, "distance": LOCALIZATION_DISTANCES},
}
"""Slot name to words of Tables 2 and 5, in the order in which a genome text writes them."""

_FOCUS = ("tatt", "jatt", "score", "smap", "cmap", "generate")
EXTENSIONS: dict[Knowledge, dict[str, tuple[str, ...]]] = {
    Knowledge.GLOBAL: {"attention": _FOCUS, "norm": ("softmax",)},
    Knowledge.FGBG: {"attention": (*_FOCUS, "even"), "norm": ("softmax",)},
    Knowledge.INSTANCE: {"attention": (*_FOCUS, "general"), "norm": ("softmax",)},
    Knowledge.LOGITS: {"transform": ("score",), "distance": ("bce",)},
    Knowledge.LOCALIZATION: {"distance": ("kl",)},
}
"""What known methods need beyond the paper's tables; offered by the `extended` space alone."""

SLOTS: dict[Knowledge, dict[str, tuple[str, ...]]] = {
    knowledge: {slot: (*words, *EXTENSIONS[knowledge].get(slot, ())) for slot, words in slots.items()}
    for knowledge, slots in PAPER_SLOTS.items()
}
"""Slot name to all words."""

MAPS = ("smap", "cmap")
"""Attention words that leave a map of the attention itself, which a recipe may compare beside the features."""

READS_RESPONSES = ("score", "general")
"""Attention words for which feature knowledge also reads the heads."""

BACKGROUND = 0.5
"""What background counts beside foreground (1) unless a genome of fgbg says otherwise."""
BACKGROUNDS = (0.1, BACKGROUND, 1.0, 2.0, 4.0)
"""What the `extended` space offers."""

NOT_RELEASED = {
    "distance": frozenset({"kl", "cosine", "ssim"}),
}
"""Words without a usable meaning under the semantics `released` (SEMANTICS: NaN, wrong sign, absent)."""
