"""A teacher that is a backbone of timm and no detector: what a run.yaml may say beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detkds.genome import Knowledge
from detkds.pairs import TIMM

if TYPE_CHECKING:
    from detkds.pipeline.run_config.run import RunConfig


def without_inheriting(raw: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.yaml whose student inherits nothing where the teacher is a backbone, which has neither neck nor head.

    Raises:
        ValueError: it says that the student inherits.
    """
    teacher, student = raw.get("teacher"), raw.get("student")
    config = teacher.get("config") if isinstance(teacher, dict) else None
    if not isinstance(config, str) or not config.startswith(TIMM) or not isinstance(student, dict):
        return raw
    if student.get("inherit"):
        raise ValueError(f"`student.inherit` needs a teacher with neck and head, and {config} is a backbone; leave it out")
    return {**raw, "student": {**student, "inherit": False}}


def require_no_objects(config: RunConfig) -> None:
    """Refuse losses that look for objects in images without labels, where a backbone finds none.

    Raises:
        ValueError: there are some.
    """
    given = config.data.unlabelled
    if given is None or not config.teacher.is_backbone:
        return
    if wrong := {Knowledge.FGBG, Knowledge.INSTANCE} & set(given.knowledge) & set(config.search.knowledge):
        raise ValueError(
            f"{', '.join(sorted(wrong))} would need the teacher's detections on images without labels, and {config.teacher.config} is a "
            "backbone, which detects nothing; write data.unlabelled.knowledge: [global]"
        )
