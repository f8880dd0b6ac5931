"""What can be wrong with a machine, a store or a teacher, found before a long run starts."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.errors import DetKDSError, Rejected
from detkds.pipeline import run_config
from detkds.pipeline.run_config import RunConfig

PACKAGES = ("torch", "onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "kfp", "minio", "pycocotools")
FREE_GB = 5


def examine(path: Path | None, *, home: Path, trust: bool, console: Console) -> list[dict[str, Any]]:
    """Run every check, print one line each, and give back `name`, `passed` and `text` of each."""
    home = home.resolve()
    checks: list[tuple[str, Callable[[], str]]] = [
        ("packages", _packages),
        ("operators", _operators),
        ("device", _device),
        ("disk", lambda: _disk(home)),
        ("store", lambda: _store(home, console)),
    ]
    if path is not None:
        checks.append(("teacher", lambda: _teacher(_loaded(path, trust), home, trust, console)))
        checks.append(("pace", lambda: _pace(path, home, trust)))
    return [_result(name, check, console) for name, check in checks]


def _result(name: str, check: Callable[[], str], console: Console) -> dict[str, Any]:
    try:
        text, mark, style = check(), "ok  ", "green"
    except DetKDSError as error:
        text, mark, style = str(error), "FAIL", "red"
    console.print(f"{mark} {name:<10}", style=style, end=" ")
    console.print(text, markup=False)
    return {"name": name, "passed": mark != "FAIL", "text": text}


def _loaded(path: Path, trust: bool) -> RunConfig:
    """The run, its plugins loaded: its teacher's head may be one of theirs."""
    config = run_config.load(path)
    run_config.load_plugins(config, path, trust=trust)
    return config


def _pace(path: Path, home: Path, trust: bool) -> str:
    """What the run takes on this device."""
    from detkds.pipeline import cost
    from detkds.pipeline.local_store import local_store
    from detkds.pipeline.preflight import preflight

    with local_store(home, Console(quiet=True)):
        facts = preflight(_loaded(path, trust), path, home=home, trust=trust)
    if not facts.images_here:
        return "the data is not on this machine; `detkds check` times a run whose data is"
    return str(cost.measure(facts))


def _packages() -> str:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise DetKDSError(f"not installed: {', '.join(missing)}; run `make install`.")
    return ", ".join(found)


def _operators() -> str:
    from detkds.detectors.device import operators_work

    if not operators_work():
        raise DetKDSError("mmcv's nms keeps both of two boxes that overlap by 8/9; build its operators again: make install.")
    return "mmcv's compiled operators work"


def _device() -> str:
    import torch

    from detkds.detectors.device import resolve

    device = resolve()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU with {threads} thread{'' if threads == 1 else 's'}; no GPU is visible"


def _disk(home: Path) -> str:
    home.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(home).free / 1e9
    if free_gb < FREE_GB:
        raise DetKDSError(f"{home} has {free_gb:.1f} GB free; a run needs at least {FREE_GB} GB.")
    return f"{free_gb:.0f} GB free at {home}"


def _store(home: Path, console: Console) -> str:
    from detkds.pipeline.local_store import local_store
    from detkds.storage.uri import open_store

    with local_store(home, console):
        store = open_store("s3://detkds")
        store.ensure_bucket()
        key, data = f"doctor/{secrets.token_hex(4)}", secrets.token_bytes(64)
        store.put_bytes(data, key)
        intact = store.get_bytes(key) == data
        store.delete(key)
    if not intact:
        raise DetKDSError("the object store gave back other bytes than it was given; do not use it.")
    return f"an object went into {store.uri()} and came back"


def _teacher(config: RunConfig, home: Path, trust: bool, console: Console) -> str:
    """Load the teacher and measure it on some training images, by its own pipeline and as it teaches."""
    from detkds.detectors.training.batches import Source
    from detkds.pipeline import pair as pairs
    from detkds.pipeline import teaching
    from detkds.pipeline.addresses import config_address, teacher_address
    from detkds.pipeline.data_set import data_set
    from detkds.pipeline.local_store import local_store
    from detkds.pipeline.settings import Pair, Schedule

    if config.teacher.momentum is not None:
        return pairs.OF_AN_AVERAGE
    if not config.teacher.checkpoint:
        return "has no checkpoint yet; `detkds run` trains it"
    with local_store(home, console):
        place, train = data_set(config.data.root), config.data.train
        few = teaching.few(Source(place.annotations(train.annotations), Path()), home / "doctor.json").annotations
        source = Source(few, place.images(train.images, [image["file_name"] for image in json.loads(few.read_text())["images"]]))
        address = teacher_address(config.teacher, home, trust)
        student = config_address(config.student, home, trust)
        if pairs.not_measured(address) and not config.teacher.others:
            classes = [str(category["name"]) for category in json.loads(few.read_text())["categories"]]
            pairs.teacher(address, config.teacher.checkpoint, classes)
            return f"loads: {pairs.not_measured(address)}"
        pair = Pair(address, config.teacher.checkpoint, student, config.student.checkpoint or "", config.student.inherit)
        schedule, lines = Schedule(config.train.epochs, config.train.batch_size or 0), []
        for name, one in teaching.each(pair):
            told = "" if name == "teacher" else f"{name} "
            if reason := pairs.not_measured(one.teacher_config):
                lines.append(f"{told}loads: {reason}")
                continue
            measured = teaching.measure(one, schedule, source)
            if refusal := teaching.below_floor(measured, pairs.as_teacher(one.teacher_config)):
                raise Rejected("implausible", f"{told and f'{name}: '}{refusal}")
            lines.append(f"{told}loads: {teaching.described(measured)}")
    return "; ".join(lines)
