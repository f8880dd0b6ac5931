"""The table of pairs: each is a full candidate, a training and an export, made small; and what cannot be paired says why."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from pictures import make_source
from shrink import CLASSES, shrink
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, adapt, build_detector, load_config, supported
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.silence import silence
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.runtime import announced, runtime
from detkds.detectors.training.train import Start, train
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.objective import Goal
from detkds.pairs import BEYOND, PAIRS, Pair, Side, pair, published

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # pycocotools
NAMES = [entry.name for entry in PAIRS]
ALL = """
global: none > none > norm_HW | l2
fgbg: none > none > norm_C | l1
instance: none > none > norm_HW | l2
logits: none | l2
localization: none | giou
"""
CLASS_BIASES = (
    "retina_cls",
    "conv_cls",
    "conv_obj",
    "gfl_cls",
    "atss_cls",
    "cls_prob_module",
    "tood_cls",
    "rtm_cls",
    "reppoints_cls_out",
    "cls_branches",
)


def small(side: Side) -> Config:
    config = load_config(side.config, trust=False)
    config.merge_from_dict(copy.deepcopy(dict(side.options)))
    return adapt(shrink(config), CLASSES).config


def recipe_of(entry: Pair) -> Recipe:
    lines = [line for line in ALL.strip().splitlines() if Knowledge(line.split(":")[0]) not in entry.unsupported]
    return Recipe.parse("\n".join(lines))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("pairs")
    return with_masks(make_source(folder / "train", 5)), with_masks(make_source(folder / "val", 3, seed=1))


def with_masks(source: Source) -> Source:
    """Each object's mask is its box."""
    content = json.loads(source.annotations.read_text())
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    source.annotations.write_text(json.dumps(content))
    return source


def sure(teacher: nn.Module) -> nn.Module:
    """A teacher whose scores are near 1/2 everywhere: only where it is confident does it teach boxes."""
    with torch.no_grad():
        for name, parameter in teacher.named_parameters():
            if name.endswith(".bias") and any(part in name for part in CLASS_BIASES):
                parameter.zero_()
    return teacher


KEEPING = ("yolox/", "deformable_detr/", "dino/")
"""Families whose configs of mmdet set `filter_empty_gt=False`, or give no filter."""


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_a_candidate_and_a_training_and_an_export(name: str, sources: tuple[Source, Source], tmp_path: Path) -> None:
    entry = pair(name)
    config, teacher = small(entry.student), sure(build_detector(small(entry.teacher), seed=1))
    settings = TrainSettings(epochs=1, batch_size=2, device="cpu")
    objective = ProxyObjective(config, teacher, *sources, settings, start=Start(inherit=False))
    assert {knowledge: objective.unsupported(knowledge) for knowledge in Knowledge} == {
        knowledge: entry.unsupported.get(knowledge) for knowledge in Knowledge
    }
    score = objective(recipe_of(entry), Goal())
    # Two images per step: the four with boxes, or all five where the student's config keeps images without.
    assert score.student_steps == (3 if any(family in entry.student.config for family in KEEPING) else 2)
    assert 0 <= score.score <= 1
    out = tmp_path / "student.pth"
    train(config, sources[0], settings, out, teacher=teacher, recipe=recipe_of(entry))
    with silence():  # building some of its heads, mmdet warns about itself
        stock = init_detector(str(out.with_suffix(".py")), str(out), device="cpu")
    assert not any("connectors" in key or "teacher" in key for key in stock.state_dict())
    assert stock.dataset_meta["classes"] == CLASSES


def shaken(student: nn.Module) -> nn.Module:
    """Heads off their first weights, with which the boxes of a DETR do not depend on the image yet."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "head" in name:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return student


def losses_of(distiller: DistilledDetector, config: Config, source: Source) -> dict[str, Tensor]:
    """Of the first training step."""
    batch = next(Samples(config, source, training=True).training_batches(2, 1))
    with announced(runtime(config, 0, 1)):
        losses: dict[str, Tensor] = distiller(**distiller.data_preprocessor(batch, True), mode="loss")
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_every_knowledge_of_a_pair_reaches_the_student_and_leaves_the_teacher_alone(name: str, sources: tuple[Source, Source]) -> None:
    entry = pair(name)
    config, teacher = small(entry.student), sure(build_detector(small(entry.teacher), seed=1))
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    distiller = DistilledDetector(shaken(build_detector(config, seed=0)), teacher, recipe_of(entry)).train()
    losses = losses_of(distiller, config, sources[0])
    stem = next(parameter for parameter in distiller.student.backbone.parameters() if parameter.requires_grad)
    for genome in recipe_of(entry).genomes:
        loss = losses[f"loss_kd_{genome.knowledge}"]
        (gradient,) = torch.autograd.grad(loss, stem, retain_graph=True)
        assert loss > 0, genome
        assert gradient.isfinite().all(), genome
        assert gradient.abs().sum() > 0, genome
    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_papers_rows_are_there() -> None:
    tables: dict[str, set[str]] = {}
    for entry in PAIRS:
        for table in entry.table.split(", "):
            tables.setdefault(table, set()).add(entry.name)
    assert tables.pop(BEYOND) >= {"atss-r50-r101", "tood-r50-x101", "rtmdet-s-l", "yolox-s-l", "dino-r50-swin-l"}
    assert tables == {
        "6": {"faster-rcnn-r50-r101", "retinanet-r50-r101", "gfl-r50-r101", "fcos-r50-r101"},
        "7": {"deformable-detr-r50-r101"},
        "8": {f"retinanet-r50-{teacher}" for teacher in ("faster-rcnn-x101", "fcos-x101", "gfl-r101", "mask-rcnn-swin-s")},
        "9": {"faster-rcnn-r50-cascade-mask-rcnn-x101", "retinanet-r50-x101", "reppoints-r50-x101"},
        "10": {"mask-rcnn-r50-cascade-mask-rcnn-x101"},
        "14": {f"retinanet-{student}-x101" for student in ("r18", "r34", "r50")},
    }
    assert len(set(NAMES)) == len(NAMES)


def test_where_the_published_weights_lie() -> None:
    sides = {side.config + str(dict(side.options)): side for entry in PAIRS for side in (entry.student, entry.teacher)}
    missing = {side.config for side in sides.values() if published(side) is None}
    # ResNet-34 under RetinaNet and ResNet-101 under Deformable DETR, which are changes of these
    assert missing == {"retinanet/retinanet_r18_fpn_1x_coco", "deformable_detr/deformable-detr_r50_16xb2-50e_coco"}
    address = published(pair("yolox-s-l").teacher)
    assert address is not None
    assert address.startswith("https://")
    assert "/yolox_l_8x8_300e_coco/" in address


def test_changed_backbones_are_those_they_are_named_for() -> None:
    # basic blocks of ResNet-34: 3, 4, 6, 3; bottlenecks of ResNet-101: 3, 4, 23, 3
    for name, role, blocks in (("retinanet-r34-x101", "student", [3, 4, 6, 3]), ("deformable-detr-r50-r101", "teacher", [3, 4, 23, 3])):
        side: Side = getattr(pair(name), role)
        config = load_config(side.config, trust=False)
        config.merge_from_dict(dict(side.options))
        backbone = build_detector(Config({"model": {**config.model, "backbone": {**config.model.backbone, "init_cfg": None}}}), seed=0)
        layers = [getattr(backbone.backbone, f"layer{index}") for index in (1, 2, 3, 4)]
        assert [len(layer) for layer in layers] == blocks


def test_a_pair_of_full_size() -> None:
    # RepPoints on ResNeXt-101 with deformable convolutions
    entry = pair("reppoints-r50-x101")
    student, teacher = (
        build_detector(adapt(load_config(side.config, trust=False), CLASSES).config, seed=0) for side in (entry.student, entry.teacher)
    )
    assert set(supported(student, teacher).values()) == {None}
    assert sum(parameter.numel() for parameter in teacher.parameters()) > 50e6


def test_an_unknown_pair_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown pair 'gfl-r50-r110': did you mean gfl-r50-r101\?"):
        pair("gfl-r50-r110")
    with pytest.raises(ConfigError, match="`detkds pairs` lists them"):
        pair("zzz")


def reasons(student: Config, teacher: Config) -> dict[Knowledge, str]:
    """Why a knowledge cannot be shared, where one cannot."""
    found = supported(build_detector(student, seed=0), build_detector(teacher, seed=0))
    return {knowledge: reason for knowledge, reason in found.items() if reason}


def test_what_a_pair_cannot_share_is_explained() -> None:
    student = small(Side("retinanet/retinanet_r50_fpn_1x_coco"))
    assert reasons(student, small(Side("gfl/gfl_r50_fpn_1x_coco"))) == {}
    more = shrink(load_config("gfl/gfl_r50_fpn_1x_coco", trust=False))
    more = adapt(more, tuple("abcde")).config
    reason = "the student distinguishes 2 classes, the teacher 5"
    assert reasons(student, more) == {Knowledge.LOGITS: reason, Knowledge.LOCALIZATION: reason}
    coarse = small(Side("retinanet/retinanet_r50_fpn_1x_coco"))
    coarse.model.neck.num_outs = 1
    coarse.model.neck.start_level = 3
    coarse.model.neck.add_extra_convs = False
    coarse.model.bbox_head.anchor_generator.strides = [32]
    fine = small(Side("retinanet/retinanet_r50_fpn_1x_coco"))
    fine.model.neck.update(num_outs=2, start_level=0, end_level=1, add_extra_convs=False)
    fine.model.bbox_head.anchor_generator.strides = [4, 8]
    strides = "neck strides (32) of the student and (4, 8) of the teacher lie more than a factor of two apart"
    assert reasons(coarse, fine)[Knowledge.GLOBAL] == strides
