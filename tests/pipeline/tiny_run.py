"""The run.yaml of a run on the tests' small pictures: one candidate of one knowledge, one epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from detkds.pipeline.settings import Pair

SEARCH = {"knowledge": ["global"], "population": 1, "iterations": 0, "top_k": 1, "subset": 0.5, "search_val": 0.5}


def content(pictures: Path, pair: Pair, **parts: Any) -> dict[str, Any]:
    """What it says; `parts` stand in place of its own, such as `teacher`."""
    splits = {part: {"annotations": f"annotations/{part}.json", "images": part} for part in ("train", "test")}
    return {
        "name": "tiny",
        "data": {"root": str(pictures), **splits},
        "teacher": teacher(pair),
        "student": {"config": pair.student_config},
        "search": dict(SEARCH),
        "train": {"epochs": 1, "batch_size": 2},
        **parts,
    }


def teacher(pair: Pair, **more: Any) -> dict[str, Any]:
    """The part about the teacher, of whom no AP is asked: one epoch taught it nothing."""
    return {"config": pair.teacher_config, "checkpoint": pair.teacher_checkpoint, "min_ap": 0, **more}


def written(path: Path, content: dict[str, Any]) -> Path:
    """The content as a file."""
    path.write_text(yaml.safe_dump(content))
    return path
