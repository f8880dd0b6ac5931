"""What can be said of a run.yaml before anything runs: all its faults, and its cost."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from detkds.errors import ConfigError, DatasetError, DetKDSError
from detkds.pipeline import run_config
from detkds.pipeline.run_config import RunConfig, Split, is_remote
from detkds.pipeline.settings import RacePlan, SearchPlan, WeightsPlan
from detkds.search.budgets import is_time


def check(path: Path, *, trust: bool, console: Console, pair: str = "") -> None:
    """Check a run.yaml and all it names on this machine; ask no store and train nothing.

    Raises:
        ConfigError, DatasetError: everything that is wrong, one line a fault.
    """
    config = run_config.load(path, pair)
    classes = _check_data(config, console)
    _check_pair(config, classes, trust, console)
    console.print(_cost(config))
    console.print(f"{path}: good", style="green", markup=False)


def _check_data(config: RunConfig, console: Console) -> tuple[str, ...]:
    """Class names of a local data set; none where it lies in the store."""
    from detkds.data.coco import load

    root = config.data.root
    if is_remote(root):
        console.print(f"data     {root}: not on this machine, looked at by the subset stage", markup=False)
        return ()
    faults, classes = [], ()
    for name, split in (("train", config.data.train), ("test", config.data.test)):
        try:
            data = load(*_paths(root, split))
        except DatasetError as error:
            faults.append(str(error))
            continue
        classes = tuple(category["name"] for category in data["categories"])
        console.print(
            f"data     {name}: {len(data['images'])} images, {len(data['annotations'])} objects, {len(classes)} classes", markup=False
        )
    if faults:
        raise DatasetError("\n".join(faults))
    return classes


def _paths(root: str, split: Split) -> tuple[Path, Path]:
    return Path(root) / split.annotations, Path(root) / split.images


def _check_pair(config: RunConfig, classes: tuple[str, ...], trust: bool, console: Console) -> None:
    """Build teacher and student without weights, and say which knowledges they can share.

    Raises:
        ConfigError: a config cannot be used, or a knowledge that is to be searched cannot be shared.
    """
    from detkds.detectors.checkpoints import apply_weights, load_weights
    from detkds.detectors.configs.config import adapt, build_detector, own_class_count
    from detkds.detectors.configs.data_config import read_config
    from detkds.detectors.distiller import supported
    from detkds.detectors.training.asked import refusals

    built, faults = {}, []
    for role, detector in (("teacher", config.teacher), ("student", config.student)):
        try:
            loaded = read_config(detector.config, trust=trust)
            loaded.merge_from_dict(detector.options)
            if role == "student" or config.teacher.train:
                faults += [f"{role}: {line}" for line in refusals(loaded)]
            names = classes or tuple(map(str, range(own_class_count(loaded))))  # those of the data are known once it is here
            built[role] = build_detector(adapt(loaded, names, pretrained_backbone=True).config, seed=0)
        except ConfigError as error:
            faults.append(f"{role}: {error}")
            continue
        size = sum(parameter.numel() for parameter in built[role].parameters()) / 1e6
        console.print(f"{role}  {detector.config}: {size:.1f} million parameters", markup=False)
    checkpoint = config.teacher.checkpoint
    if "teacher" in built and checkpoint and not is_remote(checkpoint):
        try:
            apply_weights(built["teacher"], load_weights(checkpoint), f"teacher checkpoint {checkpoint}")
        except DetKDSError as error:
            faults.append(f"teacher: {error}")
    if len(built) == 2:
        reasons = supported(built["student"], built["teacher"])
        faults += [f"search.knowledge: {name} cannot be searched: {reasons[name]}" for name in config.search.knowledge if reasons[name]]
    if faults:
        raise ConfigError("\n".join(faults))


def _cost(config: RunConfig) -> Table:
    """Candidates a study and the epochs they take."""
    from detkds.pipeline.evolve import candidates
    from detkds.pipeline.race import runners
    from detkds.pipeline.weights import candidates as weight_candidates

    search = config.search
    if search.budget and is_time(search.budget):
        table = Table(title=f"search.budget {search.budget}: planned when the run begins, by how long a training takes here")
        table.add_column("stage")
        table.add_column("epochs each", justify="right")
        table.add_row("search", str(search.proxy_epochs))
        table.add_row("train", str(config.train.epochs))
        return table
    search = search.planned()
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
