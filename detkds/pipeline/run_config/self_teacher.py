"""`teacher: self`: the teacher that is the student of the generation before."""

from __future__ import annotations

from typing import Any

from detkds.pipeline.run_config.train import Train

SELF = "self"
"""A teacher that is the student of the generation before."""


def with_own_teacher(raw: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.yaml in which `teacher: self` is written out: the student's config, trained first as the student is.

    Raises:
        ValueError: it says of the teacher what the student before it decides, or it has several teachers.
    """
    teacher, student = raw.get("teacher"), raw.get("student")
    if isinstance(teacher, list):
        raise ValueError("`teacher` is one detector: the one that the student inherits from; write the further ones as `teacher.others`")
    if isinstance(teacher, dict) and teacher.get("config") != SELF and teacher.get("generations"):
        raise ValueError("`teacher.generations` belongs to `teacher: self`, whose teacher is the student before; leave out one of the two")
    if teacher != SELF and not (isinstance(teacher, dict) and teacher.get("config") == SELF):
        return raw
    given = teacher if isinstance(teacher, dict) else {}
    student = student if isinstance(student, dict) else {}
    if wrong := sorted(set(given) - {"config", "generations", "min_ap"}):
        raise ValueError(f"`teacher: self` is the student before, which decides {', '.join(wrong)}; leave them out")
    if student.get("inherit"):
        raise ValueError("`student.inherit` would start the student as its own copy under `teacher: self`; leave it out")
    if not isinstance(epochs := (raw.get("train") or {}).get("epochs", Train().epochs), int):
        return raw  # its own fault is said
    itself = {name: student[name] for name in ("config", "options") if name in student}
    trained = {"epochs": epochs} | ({"backbone": student["checkpoint"]} if student.get("checkpoint") else {})
    asked = {name: value for name, value in given.items() if name != "config"}
    return {**raw, "teacher": {"generations": 1, **asked, **itself, "train": trained}, "student": {**student, "inherit": False}}
