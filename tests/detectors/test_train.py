"""Training: repeatable bit for bit, resumable anywhere, and stopped by nothing silently."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from pictures import CLASSES, make_config, make_source
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, build_detector, load_weights
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.randomness import preserved, seed_all
from detkds.detectors.training.train import Start, load_detector, start_student, train
from detkds.errors import ArtifactError, ConfigError, DatasetError, Interrupted, Rejected
from detkds.genome import Recipe

PKD = Recipe.parse("global: none > none > norm_batch | l2")
MASKED = Recipe.parse("global: mask > none > none | l2 x 3")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return build_detector(make_config(12), seed=9)


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"epochs": 2, "batch_size": 2, "device": "cpu", **changes})


def training(source: Source, teacher: nn.Module | None = None, recipe: Recipe | None = None, **changes: Any) -> Training:
    config, chosen = make_config(), settings(**changes)
    distiller = DistilledDetector(build_detector(config, seed=0), teacher, recipe or Recipe())
    return Training(distiller, config, Samples(config, source, training=True, seed=chosen.seed), chosen)


def state(trained: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.distiller.state_dict().items()}


def assert_same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def inputs(samples: Samples, **options: Any) -> list[Tensor]:
    return [image for batch in samples.training_batches(2, 2, **options) for image in batch["inputs"]]


def test_batches_depend_on_seed_and_place_only(source: Source) -> None:
    config = make_config()
    first = inputs(Samples(config, source, training=True, seed=1))
    torch.rand(7)  # whatever else is drawn moves nothing
    again = inputs(Samples(config, source, training=True, seed=1))
    other = inputs(Samples(config, source, training=True, seed=2))
    assert len(first) == 10  # 2 epochs of the 5 images with boxes; the sixth has none
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_batches_go_on_in_the_middle(source: Source) -> None:
    samples = Samples(make_config(), source, training=True, seed=1)
    # An epoch is 2 + 2 + 1 images, so 4 steps leave the last two batches of epoch 1: 2 + 1 images.
    rest = inputs(samples, first_step=4)
    assert len(rest) == 3
    assert all(map(torch.equal, inputs(samples)[-3:], rest))


@pytest.mark.parametrize("workers", [1, 4])
def test_worker_processes_give_the_same_student(source: Source, workers: int) -> None:
    alone, ahead = training(source, workers=0), training(source, workers=workers)
    alone.run()
    ahead.run()
    assert_same(state(alone), state(ahead))


def test_a_damaged_image_in_a_worker_process_is_named_in_one_line(tmp_path: Path) -> None:
    source = make_source(tmp_path / "data")
    samples = Samples(make_config(), source, training=True)
    (source.images / "0.png").write_bytes(b"no picture")  # after the data were checked
    with pytest.raises(DatasetError, match=r"^image .*0\.png cannot be read as an image: .*$"):
        inputs(samples, workers=2)


def test_losses_read_a_step_late_are_the_same_and_no_step_is_saved_after_a_nan(source: Source, tmp_path: Path) -> None:
    """As on a GPU: the loss of a step is read when the next has begun."""
    seen: dict[str, list[float]] = {"at once": [], "late": []}
    for name, losses in seen.items():
        run = training(source)
        run._late = int(name == "late")
        run.run(progress=lambda step, steps, of_step, losses=losses: losses.append(of_step["loss"]))
    assert seen["at once"] == seen["late"]
    assert len(seen["late"]) == 6
    run = training(source, checkpoint_every=1)
    run._late = 1
    bbox_head = run.student.bbox_head
    loss = bbox_head.loss_cls.forward
    bbox_head.loss_cls.forward = lambda *args, **kwargs: loss(*args, **kwargs) * (float("nan") if run.step == 3 else 1.0)
    with pytest.raises(Rejected, match="at training step 3 of 6"):
        run.run(checkpoint=tmp_path / "training.pth")
    assert torch.load(tmp_path / "training.pth", weights_only=True)["step"] == 3  # steps 0, 1 and 2


def test_a_flipped_image_has_flipped_boxes_and_the_cache_stays_clean(source: Source) -> None:
    straight, flipped = (Samples(make_config(flip=flip), source, training=True) for flip in (0.0, 1.0))
    for _ in range(2):  # the second time from the cache
        plain, mirror = straight[0, 0], flipped[0, 0]
        assert torch.equal(plain["inputs"].flip(-1), mirror["inputs"])
        left, _, right, _ = plain["data_samples"].gt_instances.bboxes.tensor[0].tolist()
        assert mirror["data_samples"].gt_instances.bboxes.tensor[0, [0, 2]].tolist() == [64 - right, 64 - left]


def test_upright_and_lying_images_do_not_share_a_batch(tmp_path: Path) -> None:
    config, source = make_config(), make_source(tmp_path / "mixed", 8, upright=True)

    def shapes() -> list[set[Any]]:
        batches = Samples(config, source, training=True).training_batches(2, 1)
        return [{image.shape[-2:] for image in batch["inputs"]} for batch in batches]

    assert max(map(len, shapes())) == 2  # mmdet's DataLoader groups nothing by itself
    config.train_dataloader.batch_sampler = {"type": "AspectRatioBatchSampler"}
    assert len(shapes()) == 4  # 4 lying images and 3 upright ones
    assert all(len(shape) == 1 for shape in shapes())


def test_an_image_outside_the_folder_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "data")
    source.annotations.write_text(source.annotations.read_text().replace('"0.png"', '"../0.png"'))
    with pytest.raises(DatasetError, match="file-name"):
        Samples(make_config(), source, training=True)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    source = make_source(tmp_path / "data")
    (source.images / "0.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"0\.png"):
        inputs(Samples(make_config(), source, training=True))


def test_a_mixing_wrapper_is_repeatable(source: Source) -> None:
    config = make_config()
    loader = config.train_dataloader
    mosaic = [{"type": "Mosaic", "img_scale": (64, 64)}, {"type": "PackDetInputs"}]
    inner = {**loader.dataset, "pipeline": loader.dataset.pipeline[:2]}
    loader.dataset = {"type": "MultiImageMixDataset", "dataset": inner, "pipeline": mosaic}
    mixed, again = (inputs(Samples(config, source, training=True, seed=1)) for _ in range(2))
    assert mixed[0].shape == (3, 128, 128)
    assert all(map(torch.equal, mixed, again))


def test_global_generators_are_left_alone(source: Source) -> None:
    seed_all(3)
    expected = torch.rand(1)
    seed_all(3)
    training(source, epochs=1).run()
    assert torch.equal(torch.rand(1), expected)
    with preserved():
        seed_all(1)


def test_connectors_are_trained_and_the_teacher_is_not(source: Source, teacher: nn.Module) -> None:
    config = make_config()
    config.model.neck.out_channels = config.model.bbox_head.in_channels = 8
    student = build_detector(config, seed=0)
    run = Training(DistilledDetector(student, teacher, PKD), config, Samples(config, source, training=True), settings(epochs=1))
    before, frozen = state(run), copy.deepcopy(teacher.state_dict())
    run.run()
    after = state(run)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("connectors.") for name in moved)
    assert any(name.startswith("student.") for name in moved)
    assert_same(frozen, teacher.state_dict())


def test_resumed_training_is_the_same_training(source: Source, teacher: nn.Module, tmp_path: Path) -> None:
    straight = training(source, teacher, MASKED)
    assert straight.run() == 6
    path = tmp_path / "training.pth"

    def stop(step: int, total: int, losses: Mapping[str, float]) -> None:
        if step == 4:  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="step 4 of 6"):
        training(source, teacher, MASKED).run(checkpoint=path, progress=stop)
    resumed = training(source, teacher, MASKED)
    assert resumed.run(checkpoint=path) == 2
    assert_same(state(straight), state(resumed))
    again = training(source, teacher, MASKED)
    assert again.run(checkpoint=path) == 0  # a finished training only reads its checkpoint
    assert_same(state(straight), state(again))


def test_killed_process_resumes_to_the_same_student(source: Source, tmp_path: Path) -> None:
    straight = training(source, checkpoint_every=2)
    straight.run()
    path = tmp_path / "training.pth"
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from test_train import Source, training\n"
        "folder, path = map(Path, sys.argv[1:])\n"
        "def die(step, total, losses):\n"
        "    if step == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "training(Source(folder / 'annotations.json', folder), checkpoint_every=2).run(checkpoint=path, progress=die)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}
    died = subprocess.run([sys.executable, "-c", program, str(source.images), str(path)], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    resumed = training(source, checkpoint_every=2)
    assert resumed.run(checkpoint=path) == 2  # the last checkpoint was at step 4 of 6
    assert_same(state(straight), state(resumed))


def test_a_checkpoint_of_another_training_is_refused(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "training.pth"
    training(source, epochs=1).run(checkpoint=path)
    with pytest.raises(ArtifactError, match="epochs was 1 and is 2"):
        training(source).run(checkpoint=path)


@pytest.mark.parametrize("cut", [0, 100, -100])
def test_a_truncated_checkpoint_is_refused(source: Source, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "training.pth"
    training(source, epochs=1).run(checkpoint=path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="cannot be read"):
        training(source, epochs=1).run(checkpoint=path)


@pytest.mark.parametrize(("value", "kind"), [("nan", "nan"), ("inf", "infinite")])
def test_a_loss_that_is_no_number_rejects(source: Source, monkeypatch: pytest.MonkeyPatch, value: str, kind: str) -> None:
    run = training(source)
    loss = run.distiller.student.bbox_head.loss_cls.forward
    monkeypatch.setattr(run.distiller.student.bbox_head.loss_cls, "forward", lambda *args, **kwargs: loss(*args, **kwargs) * float(value))
    with pytest.raises(Rejected, match=r"loss_cls is .* at training step 0 of 6") as caught:
        run.run()
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate")],
)
def test_running_out_of_memory_rejects(source: Source, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    run = training(source)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(run.distiller.student.backbone, "forward", fail)
    with pytest.raises(Rejected) as caught:
        run.run()
    assert caught.value.kind == "out-of-memory"


def test_start_of_a_student(teacher: nn.Module, tmp_path: Path) -> None:
    config = make_config()
    student, inherited = start_student(config, Start(), seed=0, teacher=teacher)
    assert inherited is not None
    assert torch.equal(student.bbox_head.retina_cls.weight, teacher.bbox_head.retina_cls.weight)
    assert "backbone.conv1.weight" not in inherited.copied
    path = tmp_path / "student.pth"
    torch.save({"state_dict": student.state_dict()}, path)
    whole, inherited = start_student(config, Start(checkpoint=path), seed=5, teacher=teacher)
    assert inherited is None
    assert_same(student.state_dict(), whole.state_dict())
    backbone, _ = start_student(config, Start(inherit=False, backbone=path), seed=5, teacher=None)
    assert torch.equal(backbone.backbone.conv1.weight, student.backbone.conv1.weight)
    assert not torch.equal(backbone.neck.lateral_convs[0].conv.weight, student.neck.lateral_convs[0].conv.weight)


def test_train_writes_what_stock_mmdet_loads(source: Source, teacher: nn.Module, tmp_path: Path) -> None:
    config, out, seen = make_config(), tmp_path / "student.pth", []
    done = train(
        config, source, settings(epochs=1), out, teacher=teacher, recipe=PKD, progress=lambda step, total, losses: seen.append(dict(losses))
    )
    assert done.steps == len(seen) == 3
    assert set(seen[0]) == {"loss", "loss_cls", "loss_bbox", "loss_kd_global", "lr"}
    assert seen[0]["loss"] == pytest.approx(sum(value for name, value in seen[0].items() if name not in ("loss", "lr")), rel=1e-5)
    assert torch.load(out, weights_only=True)["meta"]["dataset_meta"]["classes"] == CLASSES
    assert_same(load_detector(Config.fromfile(out.with_suffix(".py")), out).state_dict(), load_weights(out))


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch_size": 0}, {"checkpoint_every": 0}, {"seed": -1}, {"workers": -1}])
def test_settings_out_of_range(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        settings(**changes)


def test_a_device_that_is_not_there(source: Source) -> None:
    with pytest.raises(ConfigError, match="auto"):
        training(source, device="abacus")
    with pytest.raises(ConfigError, match="cuda:99"):
        training(source, device="cuda:99")
