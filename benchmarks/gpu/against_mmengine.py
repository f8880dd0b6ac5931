"""AP of a student after mmengine's Runner, as tools/train.py runs it, and after ours, from one config: three seeds each.

`python benchmarks/gpu/against_mmengine.py FOLDER --device cpu` for the blood cells in FOLDER. Nothing is shared but the config
and the seed's first weights: the Runner draws its own order and augmentations.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from families import FAMILIES, SHORT
from mmengine.config import Config
from mmengine.runner import Runner

from detkds.detectors.configs.config import adapt, build_detector
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.predict import detections
from detkds.detectors.silence import silence
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.randomness import preserved
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe

CLASSES = ("WBC", "RBC", "Platelets")
SEEDS = (0, 1, 2)


def stock(config: Config, source: Source, epochs: int, seed: int, device: str) -> Any:
    """The model that the Runner trains and saves."""
    config = copy.deepcopy(config)
    loader = config.train_dataloader
    leaf = loader.dataset
    while "dataset" in leaf:
        leaf = leaf.dataset
    leaf.update(
        type="CocoDataset",
        data_root="",
        ann_file=str(source.annotations.resolve()),
        data_prefix={"img": str(source.images.resolve())},
        metainfo={"classes": CLASSES},
    )
    loader.update(num_workers=0 if device == "cpu" else 1, persistent_workers=device != "cpu")
    loader.setdefault("sampler", {"type": "DefaultSampler", "shuffle": True})
    first = build_detector(config, seed=seed)
    first.init_weights = lambda: None
    with tempfile.TemporaryDirectory() as work, preserved(), silence():
        runner = Runner(
            model=first,
            work_dir=work,
            train_dataloader=loader,
            train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": epochs},
            optim_wrapper=config.optim_wrapper,
            param_scheduler=config.param_scheduler,
            custom_hooks=config.get("custom_hooks"),
            default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": epochs}},
            randomness={"seed": seed},
            default_scope="mmdet",
            experiment_name=f"stock-{seed}-{time.time_ns()}",
            log_level="ERROR",
        )
        runner.train()
        # The file that the Runner above has just written: it holds mmengine objects, so it cannot be loaded as plain data.
        saved = torch.load(Path(work) / f"epoch_{epochs}.pth", map_location="cpu", weights_only=False)
    model = build_detector(config, seed=seed)
    model.load_state_dict(saved["state_dict"])
    return model


def ours(config: Config, source: Source, epochs: int, seed: int, device: str) -> Any:
    """The model that our loop trains."""
    distiller = DistilledDetector(build_detector(config, seed=seed), None, Recipe())
    settings = TrainSettings(
        epochs=epochs, batch_size=config.train_dataloader.batch_size, device=device, seed=seed, workers=0 if device == "cpu" else 1
    )
    Training(distiller, config, Samples(config, source, training=True, seed=seed), settings).run()
    return distiller.student


TRAINERS = {"mmengine": stock, "ours": ours}


def one(job: tuple[str, str, int, Path, str, int | None]) -> dict[str, Any]:
    """One training and its AP on the validation images."""
    family, who, seed, data, device, epochs_of = job
    torch.set_num_threads(1)
    given, epochs = FAMILIES[family]()
    config = adapt(given, CLASSES).config
    began = time.perf_counter()
    source = Source(data / "annotations" / "train.json", data / "train")
    model = TRAINERS[who](config, source, epochs_of or epochs, seed, device)
    seconds = round(time.perf_counter() - began, 1)
    val = Samples(config, Source(data / "annotations" / "val.json", data / "val"), training=False)
    ap = evaluate(val.truth, detections(model, val, batch_size=8, device=device, workers=0)).figures["AP"]
    return {"family": family, "trained by": who, "seed": seed, "AP": round(100 * ap, 2), "seconds": seconds}


def rows(
    data: Path, device: str, *, epochs: int | None = None, seeds: tuple[int, ...] = SEEDS, families: Sequence[str] = SHORT
) -> Iterator[dict[str, Any]]:
    """One line per training, all at once on a GPU, then one per family."""
    jobs = [(family, who, seed, data, device, epochs) for seed in seeds for family in families for who in TRAINERS]
    found: dict[tuple[str, str], list[float]] = {}
    workers = 1 if device == "cpu" else len(jobs)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for row in map(Future.result, as_completed([pool.submit(one, job) for job in jobs])):
            found.setdefault((row["family"], row["trained by"]), []).append(row["AP"])
            yield row
    for family in families:
        aps = {who: found[family, who] for who in TRAINERS}
        yield {"family": family, **{who: f"{mean(of):.1f} ± {stdev(of) if len(of) > 1 else 0:.1f}" for who, of in aps.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, help="instead of the family's own number")
    parser.add_argument("--seed", type=int, action="append", help="only this one; may be given several times")
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="only this one; may be given several times")
    options = parser.parse_args()
    seeds, families = tuple(options.seed or SEEDS), options.family or list(FAMILIES)
    for row in rows(options.data, options.device, epochs=options.epochs, seeds=seeds, families=families):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
