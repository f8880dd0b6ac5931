"""What can be said of a run.yaml before anything runs: all its faults, and its cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from detkds.errors import ConfigError
from detkds.pipeline import run_config
from detkds.pipeline.local_store import environment, local_store
from detkds.pipeline.preflight import Facts, different_here, preflight
from detkds.pipeline.run_config import RunConfig, is_remote
from detkds.pipeline.run_config.search import ONE_BY_ONE
from detkds.pipeline.settings import RacePlan, SearchPlan, WeightsPlan
from detkds.search.budgets import is_time
from detkds.storage.uri import ENDPOINT, S3, split

if TYPE_CHECKING:
    from detkds.detectors.teaching import Teaching

FEW_STEPS = 10
"""Candidates of fewer steps are hardly trained: the warm-up of mmdet's own configs has 500."""
REMEDY = f"set {ENDPOINT} and the keys of the store, or check again where it can be reached"


def check(path: Path, *, trust: bool, console: Console, home: Path, pair: str = "", recipe: str = "", timed: bool = True) -> dict[str, Any]:
    """Check a run.yaml and all it names as `run` does before its first step; train nothing. What lies in a store that is not at hand is
    not looked at, and the verdict says so.

    Args:
        path, pair, recipe, home, trust: as of `detkds run`.
        console: gets what was found.
        timed: also measure the teacher as it teaches, and time a few training steps.

    Returns:
        What was printed, as plain values; `not_looked_at` has the addresses in a store that is not at hand.

    Raises:
        DetKDSError: everything that is wrong, one line per fault.
    """
    config = run_config.load(path, pair)
    console.print(f"{path}: looking at data, detectors and losses", markup=False, soft_wrap=True)
    run_config.load_plugins(config, path, trust=trust)
    from detkds.processes import VISIBLE, first_gpus, gpus

    different = different_here(config, len(gpus()))
    with environment({VISIBLE: first_gpus(config.resources.gpus)}):  # as of the run
        return _looked_at(config, path, different, trust=trust, console=console, home=home, recipe=recipe, timed=timed)


def _looked_at(
    config: RunConfig, path: Path, different: Iterable[str], *, trust: bool, console: Console, home: Path, recipe: str, timed: bool
) -> dict[str, Any]:
    from detkds.pipeline import cost  # its imports take seconds, as do those of the rules

    unseen = [address for address in _stored(config) if not _store_at_hand(address, home)]
    with local_store(home, console):
        facts = preflight(config, path, home=home, trust=trust, recipe=recipe, unseen=frozenset(unseen))
    found = _found(facts)
    found["lines"] += [("machine", line) for line in different]
    for name, text in found["lines"]:
        console.print(f"{name:<8} {text}", markup=False, soft_wrap=True)
    found["studies"] = {} if recipe else cost.candidates(config)
    if timed and facts.images_here:
        console.print(
            "measuring the teacher and timing a few training steps: minutes without a GPU; --not-timed leaves both out", soft_wrap=True
        )
    if timed and facts.images_here and config.teacher.checkpoint and not is_remote(config.teacher.checkpoint):
        from detkds.pipeline import teaching

        for name, measured_teacher in _teachers(facts):
            found[name] = asdict(measured_teacher)
            console.print(f"{name:<8} {teaching.described(measured_teacher)}", markup=False, soft_wrap=True)
    candidate_s = None
    if timed and facts.images_here:
        measured = cost.measure(facts)  # the first steps also find what no rule covers: a loss of nan, too little memory
        found["pace"] = asdict(measured)
        console.print(f"{'pace':<8} {measured}", markup=False, soft_wrap=True)
        candidate_s = measured.candidate_s
    if not recipe:
        _show_cost(cost.planned(config, candidate_s), config.search.budget, console)
    if unseen:
        console.print(f"{path}: good, except for what was not looked at: {', '.join(unseen)}; {REMEDY}", style="yellow", markup=False)
    else:
        console.print(f"{path}: good", style="green", markup=False)
    del found["lines"]
    return {**found, "not_looked_at": unseen}


def _stored(config: RunConfig) -> Iterator[str]:
    """Everything of the run that lies in a store, each once."""
    unlabelled = config.data.unlabelled and config.data.unlabelled.images
    addresses = (config.data.root, unlabelled, *config.stored_files().values())
    yield from dict.fromkeys(address for address in addresses if address and address.startswith(S3))


def _store_at_hand(address: str, home: Path) -> bool:
    """Whether something in a store can be asked for: the environment names the store, or the local one has the bucket."""
    return bool(os.environ.get(ENDPOINT)) or (home / "store" / split(address)[0]).is_dir()


def _teachers(facts: Facts) -> Iterator[tuple[str, Teaching]]:
    """Each teacher that detects and is on this machine, as it teaches, measured as the first search will.

    Raises:
        ConfigError: it must not teach.
    """
    from detkds.detectors.training.batches import Source
    from detkds.pipeline import pair as pairs
    from detkds.pipeline import teaching

    data = facts.config.data
    with TemporaryDirectory() as scratch:
        drawn = Path(scratch) / "search_train.json"
        drawn.write_text(json.dumps(facts.search_train))
        source = teaching.few(Source(drawn, Path(data.root) / data.train.images), Path(scratch) / "few.json")
        pair = facts.pair()
        for name, one in teaching.each(pair):
            if pairs.not_measured(one.teacher_config) or is_remote(one.teacher_checkpoint):
                continue
            measured = teaching.measure(one, facts.schedule(), source)
            if refusal := teaching.below_floor(measured, pairs.as_teacher(one.teacher_config)):
                raise ConfigError(refusal if name == "teacher" else f"{name}: {refusal}")
            yield name, measured


def _found(facts: Facts) -> dict[str, Any]:
    """Data and detectors; `lines` are for people."""
    from detkds.detectors.loss_validation import remark
    from detkds.pipeline import pair as pairs

    root, lines = facts.config.data.root, []
    if is_remote(root):
        seen = "annotations and the list of images were looked at; what is in the images, the run sees"
        lines.append(("data", f"{root}: {'not looked at' if root in facts.unseen else seen}"))
    counts = {}
    for name, data in facts.data.items():
        counts[name] = {key: len(data[key]) for key in ("images", "annotations", "categories")}
        lines.append(("data", "{}: {} images, {} objects, {} classes".format(name, *counts[name].values())))
    if facts.kept is not None:
        lines.append(("training", str(facts.kept)))
        if "student" in facts.configs:
            config = facts.configs["student"]
            if shortened := pairs.warm_up(pairs.settings(facts.schedule(), config), config, facts.kept.images):
                lines.append(("training", shortened))
            if facts.search_train is not None and not facts.recipe:
                lines.append(("search", _candidate_steps(facts)))
            if facts.config.search.score == "loss" and not facts.recipe and (told := remark(config)):
                lines.append(("search", told))
    if not facts.recipe and (idle := _idle_gpus(facts.config)):
        lines.append(("search", idle))
    if facts.unlabelled is not None:
        lines.append(("data", f"unlabelled: {facts.unlabelled}"))
        if facts.step:
            lines.append(("training", facts.step))
    elif facts.config.data.unlabelled:
        lines.append(("data", f"unlabelled: {facts.config.data.unlabelled.images}: not on this machine, looked at by the subset stage"))
    if generations := facts.config.teacher.generations:
        runs = "a search and its trainings" if generations == 1 else f"{generations} times a search and its trainings, one after the other"
        lines.append(("teacher", f"the student of the generation before, trained here first without distillation; then {runs}"))
    sizes = {}
    from detkds.detectors.backbone_teacher import detects
    from detkds.detectors.ensemble import members

    for role, detector in facts.detectors.items():
        sizes[role] = sum(parameter.numel() for parameter in detector.parameters())
        section = getattr(facts.config, role)
        every = (section, *(section.others if role == "teacher" else ()))
        for number, (one, config) in enumerate(zip(members(detector), every, strict=True), 1):
            count = sum(parameter.numel() for parameter in one.parameters())
            name = role if len(every) == 1 else f"{role} {number}"
            weights = "" if len(every) == 1 else f" with {config.checkpoint}"
            lines.append((name, f"{config.config}{weights}: {count / 1e6:.1f} million parameters"))
            if role == "teacher" and not detects(one):
                lines.append((name, pairs.OF_A_BACKBONE))
    if (momentum := facts.config.teacher.momentum) is not None:
        lines.append(("teacher", f"{pairs.OF_AN_AVERAGE}; momentum {momentum:g}"))
    if facts.nothing_inherited and facts.config.student.inherit:
        lines.append(("student", f"nothing is inherited: {facts.nothing_inherited}"))
    kept = facts.kept and {**{name: getattr(facts.kept, name) for name in ("images", "objects")}, "left_out": dict(facts.kept.left_out)}
    return {
        "run": facts.config.name,
        "data": counts,
        "trained_on": kept,
        "unlabelled": facts.unlabelled and facts.unlabelled.counts,
        "parameters": sizes,
        "classes": list(facts.classes),
        "lines": lines,
    }


def _candidate_steps(facts: Facts) -> str:
    """For people: how long a candidate is trained, and what to change where that is nothing to choose by."""
    from detkds.detectors.training.order import Order
    from detkds.pipeline import pair as pairs

    assert facts.search_train is not None
    config, images = facts.configs["student"], len(facts.search_train["images"])
    steps = facts.config.search.proxy_epochs * Order.of(config).steps(images, pairs.settings(facts.schedule(), config).batch_size)
    told = f"a candidate is trained for at most {steps} step{'' if steps == 1 else 's'} on {images} images"
    return told if steps >= FEW_STEPS else f"{told}: too few to tell losses apart; raise search.proxy_epochs"


def _idle_gpus(config: RunConfig) -> str:
    """For people: that a study has more GPUs than candidates at a time, and what to change; empty where it has not."""
    search, gpus = config.search, config.resources.gpus * config.search.nodes
    one_by_one = search.algorithm in ONE_BY_ONE
    used = 1 if one_by_one else 2 * search.iterations_at_once
    if gpus <= used:
        return ""
    change = "algorithm: evolution" if one_by_one else f"iterations_at_once: {gpus // 2}"
    return f"after its first candidates a study uses {used} of its {gpus} GPUs; with `{change}` it would use more (docs/scale.md)"


def _show_cost(config: RunConfig, budget: str, console: Console) -> None:
    """Print candidates a study and the epochs they take; for a time that is not planned yet, when it will be."""
    if config.search.budget and is_time(config.search.budget):
        console.print(f"search   {budget}: planned when the run begins, by how long a training takes here", markup=False, soft_wrap=True)
        return
    if budget and is_time(budget):
        console.print(f"search   {budget}: as planned by the pace above; the run measures it again", markup=False, soft_wrap=True)
    console.print(_cost(config))


def _cost(config: RunConfig) -> Table:
    """Candidates a study and the epochs they take."""
    from detkds.pipeline.evolve import candidates
    from detkds.pipeline.race import runners
    from detkds.pipeline.weights import candidates as weight_candidates

    search = config.search.planned()
    plan = SearchPlan(
        search.semantics, search.space, search.algorithm, search.population, search.iterations, search.sample_ratio, search.top_k
    )
    epochs = str(search.proxy_epochs) + (f", up to {search.repeats} times" if search.repeats > 1 else "")
    table = Table(title="the run at most", title_style="bold")
    for column in ("stage", "candidates", "epochs each", "of the training images"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for knowledge in search.knowledge:
        table.add_row(f"evolve {knowledge}", str(candidates(plan)), epochs, f"{100 * search.subset:.0f} %")
    weights = WeightsPlan(search.weights.population, search.weights.iterations)
    table.add_row("weights", str(weight_candidates(weights, len(search.knowledge))), epochs, f"{100 * search.subset:.0f} %")
    if search.final_race.candidates:
        final = RacePlan(search.final_race.candidates, search.final_race.seeds)
        longer = search.final_race.epochs or 2 * search.proxy_epochs
        table.add_row("known distillers", str(len(search.final_race.known)), epochs, f"{100 * search.subset:.0f} %")
        table.add_row("final race", str(final.seeds * runners(final)), str(longer), f"{100 * search.subset:.0f} %")
    table.add_row("train", "2", str(config.train.epochs), "100 %")
    return table
