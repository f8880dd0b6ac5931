"""The world of a rehearsal, inside a container of the full image: a store with a tiny data set and a teacher.

Says on one line of standard output what the tasks are given, as JSON, and serves the store until it is ended.

usage: python world.py CONFIGS        the texts of both detectors' configs: {"teacher": "…", "student": "…"}
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from detkds.data.synthetic import generate
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.teacher import run as train_teacher
from detkds.storage import open_store
from detkds.storage.server import EmbeddedServer

# The smallest search that asks something of every stage: two knowledges, one candidate each, one epoch.
BUDGET = {
    "knowledge": ["global", "logits"],
    "population": 1,
    "iterations": 0,
    "top_k": 1,
    "weights": {"population": 1, "iterations": 0},
    "final_race": {"candidates": 1, "seeds": 2, "known": ["pkd"]},
    "subset": 0.5,
    "search_val": 0.5,
    "proxy_epochs": 1,
}


def furnish(folder: Path, configs: Mapping[str, str], bucket: str) -> dict[str, Any]:
    """Put a data set, a teacher and both configs into a bucket; returns the parameters of a run of the search pipeline on them."""
    store = open_store(f"s3://{bucket}")
    store.ensure_bucket()
    generate(folder / "data", teacher_images=4, train=8, test=4, size=(64, 64))
    store.put_tree(folder / "data", "data")
    for role, text in configs.items():
        (folder / f"{role}.yaml").write_text(text)
        store.put_file(folder / f"{role}.yaml", f"configs/{role}.yaml")
    source = {"root": str(folder / "data"), "annotations": "annotations/teacher.json", "images": "teacher"}
    untaught = Pair("", "", str(folder / "teacher.yaml"), inherit=False)
    store.put_file(train_teacher(untaught, Schedule(1, batch_size=2), **source, home=folder / "home", show=print), "models/teacher.pth")
    data = {split: {"annotations": f"annotations/{split}.json", "images": split} for split in ("train", "test")}
    return {
        "run_name": "rehearsal",
        "results": f"s3://{bucket}/runs",
        "dataset": f"s3://{bucket}/data",
        "teacher_config": f"s3://{bucket}/configs/teacher.yaml",
        "teacher_checkpoint": f"s3://{bucket}/models/teacher.pth",
        "student_config": f"s3://{bucket}/configs/student.yaml",
        "epochs": 1,
        "settings": {"data": data, "search": BUDGET},
    }


def main() -> None:
    """Furnish a store in this container's /tmp, say so, and wait for the end."""
    folder = Path(os.environ["DETKDS_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    with EmbeddedServer(folder / "s3") as server:
        os.environ.update(server.environment())
        with redirect_stdout(sys.stderr):
            parameters = furnish(folder, json.loads(sys.argv[1]), "rehearsal")
        package = next(yaml.safe_load_all((files("detkds") / "compiled" / "search.yaml").read_text()))
        print(json.dumps({"environment": server.environment(), "parameters": parameters, "package": package}), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
