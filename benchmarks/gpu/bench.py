"""What a GPU makes of this project, in at most eight minutes: `make gpu`, or `python benchmarks/gpu/bench.py --out results.jsonl`.

Each result is one line of JSON, written as soon as it exists, so that a run that is cut off leaves what it measured. A part that fails
leaves a line with its error, and the next part runs. `--device cpu` tries the same on a CPU, made small.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "detectors"))

import mmcv._ext
import mmengine
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image
from shrink import CLASSES, SIZE, shrink

from detkds.detectors.configs.config import adapt, build_detector, load_config
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.randomness import seed_all
from detkds.detectors.training.runtime import announced, runtime
from detkds.genome import Recipe
from detkds.genome.presets import preset

FAMILIES = {
    "RetinaNet": "retinanet/retinanet_r50_fpn_1x_coco",
    "Faster R-CNN": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "FCOS": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "GFL": "gfl/gfl_r50_fpn_1x_coco",
    "RTMDet": "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "YOLOX": "yolox/yolox_nano_8xb8-300e_coco",
    "Deformable DETR": "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
}
PKD = Recipe.parse("global: none > none > norm_batch | l2")
PAIR = ("retinanet/retinanet_r50_fpn_2x_coco", "retinanet/retinanet_r101_fpn_2x_coco")


def small(name: str) -> Any:
    config = adapt(shrink(load_config(FAMILIES[name], trust=False)), CLASSES).config
    config.model.data_preprocessor.batch_augments = None
    return config


def batch(height: int, width: int, count: int, objects: int = 6) -> dict[str, Any]:
    """Images of noise with random boxes of two classes."""
    generator = torch.Generator().manual_seed(5)
    inputs, samples = [], []
    for index in range(count):
        inputs.append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator))
        corner = torch.rand(objects, 2, generator=generator) * torch.tensor([0.6 * width, 0.6 * height])
        size = (0.1 + 0.3 * torch.rand(objects, 2, generator=generator)) * torch.tensor([width, height])
        shape = {"img_shape": (height, width), "ori_shape": (height, width), "scale_factor": (1.0, 1.0), "img_id": index}
        sample = DetDataSample(metainfo=shape)
        sample.gt_instances = InstanceData(bboxes=torch.cat([corner, corner + size], 1), labels=torch.arange(objects) % 2)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def losses_on(device: str, config: Any, dtype: torch.dtype | None) -> dict[str, float]:
    """The losses of one distilled step from fixed weights, and whether its gradients are numbers."""
    teacher = build_detector(config, seed=1)
    distiller: Any = DistilledDetector(build_detector(config, seed=0), teacher, PKD).train().to(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    seed_all(0)
    with announced(runtime(config, 0, 10)), torch.autocast(torch.device(device).type, dtype, enabled=dtype is not None):
        losses = distiller(**distiller.data_preprocessor(copy.deepcopy(batch(SIZE, SIZE, 2)), True), mode="loss")
    total, named = distiller.parse_losses(losses)
    total.backward()
    finite = all(bool(torch.isfinite(p.grad).all()) for p in distiller.parameters() if p.grad is not None)
    return {**{name: float(value.detach()) for name, value in named.items()}, "finite": float(finite)}


def operators_agree(device: str) -> Iterator[dict[str, Any]]:
    """Operators on the device against the CPU's plain forms."""
    from mmcv.ops import nms, roi_align, sigmoid_focal_loss
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=generator) * 80
    boxes, scores = torch.cat([corner, corner + 5 + 20 * torch.rand(200, 2, generator=generator)], 1), torch.rand(200, generator=generator)
    kept = [nms(boxes.to(place), scores.to(place), 0.5)[1].cpu().tolist() for place in ("cpu", device)]
    yield {"operator": "nms", "agrees": kept[0] == kept[1], "kept": len(kept[0])}
    logits, labels = torch.randn(50, 3, generator=generator), torch.randint(0, 4, (50,), generator=generator)
    if torch.device(device).type == "cuda":
        ours = sigmoid_focal_loss(logits.to(device), labels.to(device), 2.0, 0.25, None, "none").cpu()
        plain = py_sigmoid_focal_loss(logits, torch.nn.functional.one_hot(labels, 4)[:, :3], reduction="none")
        yield {"operator": "sigmoid_focal_loss", "largest difference": float((ours - plain).abs().max())}
    maps, rois = torch.randn(1, 4, 20, 20, generator=generator), torch.cat([torch.zeros(20, 1), boxes[:20] / 5], 1)
    pooled = [roi_align(maps.to(place), rois.to(place), (7, 7), 1.0, 2, "avg", True).cpu() for place in ("cpu", device)]
    yield {"operator": "roi_align", "largest difference": float((pooled[0] - pooled[1]).abs().max())}


def families(device: str) -> Iterator[dict[str, Any]]:
    """One distilled step of each family: the device's losses against those of the CPU in fp32."""
    for name in FAMILIES:
        config = small(name)
        expected = losses_on("cpu", config, None)
        for precision, dtype in (("fp32", None), ("bf16", torch.bfloat16)):
            try:
                found = losses_on(device, config, dtype)
            except Exception as error:
                yield {"family": name, "precision": precision, "error": one_line(error)}
                continue
            worst = max(abs(found[key] - value) / max(abs(value), 1e-6) for key, value in expected.items())
            row = {"family": name, "precision": precision, "loss": found["loss"], "on the CPU": expected["loss"]}
            yield {**row, "largest relative difference": worst}


def steps(device: str, compiled: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds and memory of a training step of RetinaNet R50, alone and with a R101 teacher."""
    gpu = torch.device(device).type == "cuda"
    sizes = (800, 1344, 4) if gpu else (96, 96, 2)
    student_config, teacher_config = (adapt(load_config(name, trust=False), CLASSES, pretrained_backbone=True).config for name in PAIR)
    if not gpu:
        student_config, teacher_config = shrink(student_config), shrink(teacher_config)
    teacher = build_detector(teacher_config, seed=1)
    ways: list[tuple[str, Recipe, dict[str, Any]]] = [
        ("fp32", Recipe(), {}), ("fp32", preset("detkds-one-stage"), {}), ("bf16", Recipe(), {"amp": True}),
        ("bf16", preset("detkds-one-stage"), {"amp": True}), ("fp16", preset("detkds-one-stage"), {"amp": True}),
        ("bf16 channels_last", preset("detkds-one-stage"), {"amp": True, "channels_last": True}),
        ("TF32", Recipe(), {}), ("TF32", preset("detkds-one-stage"), {}),
    ]  # fmt: skip
    if compiled:
        ways = [("bf16 compiled", preset("detkds-one-stage"), {"amp": True, "compiled": True})]
    data = batch(*sizes[:2], sizes[2])
    with tempfile.TemporaryDirectory() as folder:
        source = noise(Path(folder), 2)
        for name, recipe, options in ways:
            config = copy.deepcopy(student_config)
            if gpu and options.get("amp"):
                config.optim_wrapper.dtype = "float16" if name == "fp16" else "bfloat16"
            settings = TrainSettings(epochs=100, batch_size=2, device=device, learning_rate=1e-5, **options)
            distiller = DistilledDetector(build_detector(config, seed=0), teacher if recipe.active else None, recipe)
            training = Training(distiller, config, Samples(config, source, training=True), settings)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "TF32"
            yield {"step": name, "distilled": recipe.active != (), "images": sizes[2], "size": sizes[:2], **timed(training, data, gpu)}
            del training, distiller


def timed(training: Training, data: dict[str, Any], gpu: bool, rounds: int = 8) -> dict[str, Any]:
    import threading

    stop, model, times = threading.Event(), training.distiller.train(), []
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for number in range(rounds + 3):
        started = time.perf_counter()
        training._advance(model, copy.deepcopy(data), 0, stop).read(1)
        if gpu:
            torch.cuda.synchronize()
        if number >= 3:
            times.append(time.perf_counter() - started)
        if time.perf_counter() - began > 60 and times:
            break
    row = {"ms": round(1e3 * sorted(times)[len(times) // 2], 1), "first steps s": round(time.perf_counter() - began - sum(times), 1)}
    return row | ({"GiB": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if gpu else {})


def noise(folder: Path, count: int, size: tuple[int, int] = (640, 480)) -> Source:
    """Photographs of noise, as files."""
    generator = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(count):
        pixels = generator.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size).save(folder / f"{index}.jpg", quality=90)
        images.append({"id": index + 1, "file_name": f"{index}.jpg", "width": size[0], "height": size[1]})
        box = [20, 20, 200, 150]
        annotations.append({"id": index + 1, "image_id": index + 1, "category_id": 1, "bbox": box, "area": 30000, "iscrowd": 0})
    categories = [{"id": 1, "name": CLASSES[0]}, {"id": 2, "name": CLASSES[1]}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return Source(folder / "annotations.json", folder)


def loading(device: str) -> Iterator[dict[str, Any]]:
    """Images a second through RetinaNet's train pipeline at 1333 x 800, by number of worker processes; then from the store of images."""
    gpu = torch.device(device).type == "cuda"
    config = adapt(load_config(PAIR[0], trust=False), CLASSES).config
    with tempfile.TemporaryDirectory() as folder:
        source = noise(Path(folder), 160 if gpu else 8)
        for workers in (0, 1, 4, 8, 16) if gpu else (0, 1):
            samples = Samples(config, source, training=True)
            for visit in ("first", "second"):
                began = time.perf_counter()
                count = sum(len(some["inputs"]) for some in samples.training_batches(4, 1, workers=workers, pin=gpu))
                seconds = time.perf_counter() - began
                yield {"workers": workers, "visit": visit, "images per second": round(count / seconds, 1)}


def search(device: str) -> Iterator[dict[str, Any]]:
    """A tiny search on the device, and a training that is left and taken up."""
    from pictures import make_config, make_source

    from detkds.detectors.objective import ProxyObjective
    from detkds.objective import Goal
    from detkds.search.function_study import study

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, val = make_source(folder / "train", 12), make_source(folder / "val", 8, seed=1)
        settings = TrainSettings(epochs=4, batch_size=4, device=device)
        objective = ProxyObjective(make_config(), build_detector(make_config(12), seed=9), train, val, settings)
        began = time.perf_counter()
        found = study("global", lambda recipe: objective(recipe, Goal()).score, population=4, iterations=2, top_k=2)
        seconds = round(time.perf_counter() - began, 1)
        yield {"search": "tiny", "candidates": len(found.trials), "seconds": seconds, "best": found.best.score if found.best else None}

        def training() -> Training:
            config = make_config()
            distiller = DistilledDetector(build_detector(config, seed=0), build_detector(make_config(12), seed=9), PKD)
            return Training(distiller, config, Samples(config, train, training=True), TrainSettings(epochs=4, batch_size=4, device=device))

        straight, path = training(), folder / "training.pth"
        straight.run()

        def leave(step: int, total: int, losses: Any) -> None:
            if step == 5:
                raise KeyboardInterrupt

        left = training()
        left.settings = TrainSettings(epochs=4, batch_size=4, device=device, checkpoint_every=3)
        try:
            left.run(checkpoint=path, progress=leave)
        except KeyboardInterrupt:
            resumed = training()
            done = resumed.run(checkpoint=path)
            pairs = zip(resumed.student.parameters(), straight.student.parameters(), strict=True)
            yield {"resume": "after a kill", "steps left": done, "largest difference": max(float((a - b).abs().max()) for a, b in pairs)}


def group(device: str) -> Iterator[dict[str, Any]]:
    """A group of one process: NCCL on a GPU."""
    from torch import distributed

    gpu = torch.device(device).type == "cuda"
    distributed.init_process_group("nccl" if gpu else "gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        net: Any = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).to(device)
        net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net) if gpu else net
        torch.nn.parallel.DistributedDataParallel(net)(torch.randn(2, 3, 8, 8, device=device)).sum().backward()
        total = torch.ones(3, device=device)
        distributed.all_reduce(total)
        yield {"group": "nccl" if gpu else "gloo", "all_reduce": total.tolist(), "SyncBatchNorm": gpu}
    finally:
        distributed.destroy_process_group()


def parity(device: str, data: Path | None) -> Iterator[dict[str, Any]]:
    """AP on the blood cells after mmengine's Runner and after ours, seeds 0 to 2."""
    if data is not None:
        import against_mmengine

        yield from against_mmengine.rows(data, device)


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, help="folder of the blood cell data set")
    parser.add_argument("--parts", default="operators,families,group,steps,loading,search,parity,compiled")
    options = parser.parse_args()
    parts: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "operators": lambda: operators_agree(options.device), "families": lambda: families(options.device),
        "group": lambda: group(options.device), "steps": lambda: steps(options.device), "loading": lambda: loading(options.device),
        "search": lambda: search(options.device), "parity": lambda: parity(options.device, options.data),
        "compiled": lambda: steps(options.device, compiled=True),
    }  # fmt: skip
    began = time.perf_counter()
    with options.out.open("a") as file:

        def write(row: dict[str, Any]) -> None:
            line = json.dumps({**row, "at": round(time.perf_counter() - began, 1)})
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()

        card = torch.cuda.get_device_name() if options.device != "cpu" else "CPU"
        plain = str(mmcv._ext.__file__).endswith(".py")
        write({"card": card, "torch": torch.__version__, "mmengine": mmengine.__version__, "plain operators": plain})
        for name in options.parts.split(","):
            try:
                for row in parts[name]():
                    write({"part": name, **row})
            except Exception as error:
                traceback.print_exc(limit=4)
                write({"part": name, "error": one_line(error)})


if __name__ == "__main__":
    main()
