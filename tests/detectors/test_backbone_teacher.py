"""A backbone of timm as a teacher: its feature maps are timm's own, they teach, and what it has not is refused by name."""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import make_config, make_source
from safetensors.torch import save_file
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, build_detector, load_weights, supported
from detkds.detectors.backbone_teacher import BackboneTeacher, FeatureMaps
from detkds.detectors.checkpoints import apply_teacher
from detkds.detectors.configs.data_config import freeze, read_config
from detkds.detectors.taps import neck_shape
from detkds.detectors.timm_networks import build
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.errors import ArtifactError, ConfigError, Interrupted
from detkds.genome import Knowledge, Recipe
from detkds.unlabelled import Unlabelled

WHOLE = "global: none > none > norm_HW | l2 x 1\nfgbg: none > none > norm_C | l1 x 2"
FEATURES = Recipe.parse(f"{WHOLE}\ninstance: none > none > norm_HW | l2 x 1")
"""For a teacher whose levels have the same channels."""
WITHOUT_CROPS = Recipe.parse(WHOLE)
PLAIN = Recipe.parse("global: none > none > none | l2 x 1")
NETWORK = "test_convnext"
"""0.3 million parameters, strides 4 to 32."""


def network(name: str) -> nn.Module:
    return build_detector(read_config(f"timm/{name}"), seed=3)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return network(NETWORK)


def weights_of(teacher: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in teacher.backbone.network.state_dict().items()}


def test_levels_meet_by_stride_and_are_what_timm_makes_of_the_pixels(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], teacher: Any
) -> None:
    assert neck_shape(teacher).strides == (4, 8, 16, 32)
    detector: Any = DistilledDetector(tiny("retinanet"), teacher, PLAIN)
    views = detector.views(**detector.data_preprocessor(batch, True))
    assert views.strides == (8, 16, 32)
    assert [level.shape[1] for level in views.teacher_levels] == [32, 48, 64]
    mean, std = (torch.tensor(teacher.backbone.network.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    shown = torch.zeros(2, 3, 96, 96)
    for place, picture in enumerate(batch["inputs"]):  # BGR bytes to what the network was trained on, by hand
        shown[place, :, :, : picture.shape[-1]] = (picture.flip(0) / 255 - mean) / std
    expected = teacher.backbone.network.forward_intermediates(shown, norm=True, intermediates_only=True)[1:]
    for found, made in zip(views.teacher_levels, expected, strict=True):
        torch.testing.assert_close(found, made, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "recipe"), [(NETWORK, WITHOUT_CROPS), ("test_vit", FEATURES)])
def test_features_reach_the_student_and_the_teacher_stays_as_it_is(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], name: str, recipe: Recipe
) -> None:
    student, teacher = tiny("retinanet"), network(name)
    before = weights_of(teacher)
    detector = DistilledDetector(student, teacher, recipe).train()
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss")
    for genome in recipe.active:
        loss = losses[f"loss_kd_{genome.knowledge}"]
        assert loss > 0, genome
        (gradient,) = torch.autograd.grad(loss, student.get_parameter("backbone.conv1.weight"), retain_graph=True)
        assert gradient.isfinite().all(), genome
        assert gradient.abs().sum() > 0, genome
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(teacher).items())
    assert not any(module.training for module in teacher.modules())
    assert not any("network" in name for name in detector.state_dict())


def test_of_each_stride_the_deepest_map_is_taken() -> None:
    vit, resnet = FeatureMaps(build("test_vit")), FeatureMaps(build("test_resnet"))
    assert (vit.indices, vit.cell) == ([5], 16)
    assert (resnet.indices, resnet.cell) == ([0, 1, 2, 3, 4], 32)


def test_an_image_of_no_whole_cells_is_resized_so_that_the_map_covers_it() -> None:
    maps = FeatureMaps(build("test_vit")).eval()
    picture = torch.randn(1, 3, 40, 72, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (found,) = maps(picture)
        resized = nn.functional.interpolate(picture, size=(48, 80), mode="bilinear", align_corners=False)
        (expected,) = maps(resized)
    assert found.shape == (1, 64, 3, 5)
    assert torch.equal(found, expected)


def test_scores_and_boxes_are_refused_by_name(tiny: Callable[..., nn.Module], teacher: nn.Module) -> None:
    reasons = supported(tiny("retinanet"), teacher)
    assert [knowledge for knowledge, reason in reasons.items() if reason] == [Knowledge.INSTANCE, Knowledge.LOGITS, Knowledge.LOCALIZATION]
    assert reasons[Knowledge.INSTANCE] == ("objects are compared across levels of equal channels, and those of the teacher have 32, 48, 64")
    assert supported(tiny("retinanet"), network("test_vit"))[Knowledge.INSTANCE] is None
    with pytest.raises(ConfigError, match=r"cannot share logits knowledge: the teacher is a backbone, which has neither scores nor boxes"):
        DistilledDetector(tiny("retinanet"), teacher, Recipe.parse("logits: none | l2 x 1"))


def test_images_without_labels_teach_by_whole_features_alone(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], teacher: nn.Module
) -> None:
    with pytest.raises(ConfigError, match=r"fgbg needs the teacher's detections on images without labels"):
        DistilledDetector(tiny("retinanet"), teacher, WITHOUT_CROPS, Unlabelled())
    detector = DistilledDetector(tiny("retinanet"), teacher, WITHOUT_CROPS, Unlabelled(knowledge="global"))
    data = detector.data_preprocessor(batch, True)
    beside = {**data, "weight": 1.0}
    losses = detector(**data, mode="loss", unlabelled=beside)
    again = detector(**data, mode="loss")
    torch.testing.assert_close(losses["loss_kd_global"], again["loss_kd_global"])  # the same images, once without their labels
    assert losses["loss_kd_global"] > 0


def test_a_resumed_training_is_the_same_training(teacher: nn.Module, tmp_path: Path) -> None:
    source, config = make_source(tmp_path / "pictures"), make_config()

    def training() -> Training:
        chosen = TrainSettings(epochs=2, batch_size=2, device="cpu")
        distiller = DistilledDetector(build_detector(config, seed=0), teacher, WITHOUT_CROPS)
        return Training(distiller, config, Samples(config, source, training=True, seed=chosen.seed), chosen)

    def stop(step: int, total: int, losses: Mapping[str, float]) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    straight, resumed = training(), training()
    assert straight.run() == 6
    with pytest.raises(Interrupted):
        training().run(checkpoint=tmp_path / "training.pth", progress=stop)
    assert resumed.run(checkpoint=tmp_path / "training.pth") == 2
    left, right = straight.distiller.state_dict(), resumed.distiller.state_dict()
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_of_a_file_are_used_whatever_its_classifier_is(teacher: Any, tmp_path: Path, suffix: str) -> None:
    weights = weights_of(teacher)
    weights["head.fc.weight"], weights["head.fc.bias"] = torch.zeros(7, 64), torch.zeros(7)
    path = tmp_path / f"weights.{suffix}"
    torch.save(weights, path) if suffix == "pth" else save_file(weights, path, metadata={"format": "pt"})
    other: Any = build_detector(read_config(f"timm/{NETWORK}"), seed=4)
    assert not torch.equal(weights_of(other)["stem.0.weight"], weights["stem.0.weight"])
    apply_teacher(other, load_weights(path), "teacher checkpoint")
    for name, tensor in weights_of(other).items():
        assert torch.equal(tensor, weights[name]) or name.startswith("head.fc."), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights.pop("stem.0.weight"), r"1 missing \(stem\.0\.weight\)"),
        (lambda weights: weights.update({"backbone.x": torch.zeros(1)}), r"1 unexpected \(backbone\.x\)"),
        (lambda weights: weights.update({"stem.0.bias": torch.zeros(3)}), r"1 of another shape \(stem\.0\.bias \(3,\) for \(24,\)\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(teacher: Any, change: Callable[[dict[str, Tensor]], Any], said: str) -> None:
    weights = weights_of(teacher)
    change(weights)
    with pytest.raises(ArtifactError, match=said):
        apply_teacher(build_detector(read_config(f"timm/{NETWORK}"), seed=4), weights, "teacher checkpoint w.pth")


def test_weights_are_data(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"stem": os.system}))
    with pytest.raises(ArtifactError, match="is not plain weights"):
        load_weights(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("convnext_tinny", r"timm has no network 'convnext_tinny'; did you mean convnext_tiny\?"),
        ("resnet18.no_such_tag", r"timm cannot build resnet18\.no_such_tag: .*no_such_tag"),
        ("hiera_tiny_224", r"timm/hiera_tiny_224 does not accept images of 160 x 224 px: .*; take another network"),
    ],
)
def test_a_network_that_cannot_teach_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        build_detector(read_config(f"timm/{name}"), seed=0)
    assert len(str(found.value).splitlines()) == 1


def test_options_are_arguments_of_the_network(tmp_path: Path) -> None:
    config = read_config("timm/test_vit")
    config.merge_from_dict({"model.options.img_size": 64})
    path = tmp_path / "teacher.json"
    path.write_text(freeze(config))
    teacher: Any = build_detector(read_config(str(path)), seed=0)
    assert isinstance(teacher, BackboneTeacher)
    assert weights_of(teacher)["pos_embed"].shape[1] == 1 + (64 // 16) ** 2


def test_without_timm_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr("detkds.detectors.timm_networks.find_spec", lambda name: None if name == "timm" else known(name))
    with pytest.raises(ConfigError, match=r"timm is not installed, and a teacher timm/… needs it; install it: pip install --no-deps"):
        build(NETWORK)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_no_stand_in_for_torchvision_is_left_behind() -> None:
    """In a process of its own, whose warnings are errors."""
    program = (
        "import sys\n"
        "from detkds.detectors.timm_networks import build\n"
        "build('test_resnet')\n"
        "import timm\n"
        "from timm.data import IMAGENET_DEFAULT_MEAN\n"
        "assert IMAGENET_DEFAULT_MEAN == (0.485, 0.456, 0.406)\n"
        "print([name for name in sys.modules if name.startswith('torchvision')], any('huggingface' in name for name in sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[] False", done.stderr[-2000:]
