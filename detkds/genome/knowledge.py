"""Knowledge: what of the teacher is imitated."""

from __future__ import annotations

from enum import StrEnum


class Knowledge(StrEnum):
    """The five terms of Eq. 1, in the order of Alg. 1, line 1."""

    GLOBAL = "global"
    FGBG = "fgbg"
    INSTANCE = "instance"
    LOGITS = "logits"
    LOCALIZATION = "localization"

    @property
    def is_feature(self) -> bool:
        """True where neck levels are compared, False where head responses are."""
        return self in FEATURES


FEATURES = (Knowledge.GLOBAL, Knowledge.FGBG, Knowledge.INSTANCE)
