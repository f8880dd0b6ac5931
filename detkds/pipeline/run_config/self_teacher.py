"""Teachers that the student makes itself: `teacher: self`, the student of the generation before, and `teacher: average`, its own moving
average while it is trained."""

from __future__ import annotations

from typing import Any

from detkds.pipeline.run_config.train import Train

SELF = "self"
"""A teacher that is the student of the generation before."""
AVERAGE = "average"
"""A teacher that is the moving average of the student in training."""
MOMENTUM = 0.999
"""Share of the average that a step keeps, as in Mean Teacher."""
BELONGS = {"generations": (SELF, "the student before"), "momentum": (AVERAGE, "the moving average of the student")}
"""Keys of one of these teachers alone, and what it is."""


def with_own_teacher(raw: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.yaml in which `teacher: self` and `teacher: average` are written out: the student's config, of the first also
    that it is trained before as the student is, and of the second the momentum.

    Raises:
        ValueError: it says of the teacher what the student decides, or it has several teachers.
    """
    teacher, student = raw.get("teacher"), raw.get("student")
    if isinstance(teacher, list):
        raise ValueError("`teacher` is one detector: the one that the student inherits from; write the further ones as `teacher.others`")
    given: dict[str, Any] = {"config": teacher} if isinstance(teacher, str) else teacher if isinstance(teacher, dict) else {}
    for key, (word, meaning) in BELONGS.items():
        if given.get("config") != word and given.get(key):
            raise ValueError(f"`teacher.{key}` belongs to `teacher: {word}`, whose teacher is {meaning}; leave out one of the two")
    if given.get("config") not in (SELF, AVERAGE):
        return raw
    student = student if isinstance(student, dict) else {}
    written = _before if given["config"] == SELF else _average
    made = written({name: value for name, value in given.items() if name != "config"}, student, raw)
    return raw if made is None else {**raw, "teacher": made, "student": {**student, "inherit": False}}


def _before(asked: dict[str, Any], student: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any] | None:
    if wrong := sorted(set(asked) - {"generations", "min_ap"}):
        keys = ", ".join(f"teacher.{key}" for key in wrong)
        raise ValueError(f"with `teacher: self` the student of the generation before teaches, so leave out {keys}")
    if student.get("inherit"):
        raise ValueError("`student.inherit` would start the student as its own copy under `teacher: self`; leave it out")
    if not isinstance(epochs := (raw.get("train") or {}).get("epochs", Train().epochs), int):
        return None  # its own fault is said
    trained = {"epochs": epochs} | ({"backbone": student["checkpoint"]} if student.get("checkpoint") else {})
    return {"generations": 1, **asked, **_itself(student), "train": trained}


def _average(asked: dict[str, Any], student: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    if wrong := sorted(set(asked) - {"momentum"}):
        raise ValueError(
            f"`teacher: average` is the student's own moving average, so leave out {', '.join(f'teacher.{key}' for key in wrong)}"
        )
    if student.get("inherit"):
        raise ValueError("`student.inherit` needs a teacher that is there before the student, and `teacher: average` is not; leave it out")
    search = raw.get("search")
    if isinstance(search, dict) and search.get("weights_are") == "calibrated":
        raise ValueError(
            "`search.weights_are: calibrated` measures losses before a training, where the student and its moving average are one; "
            "leave it out with `teacher: average`"
        )
    return {"momentum": MOMENTUM, **asked, **_itself(student)}


def _itself(student: dict[str, Any]) -> dict[str, Any]:
    """The student's detector as the teacher's."""
    return {name: student[name] for name in ("config", "options") if name in student}
