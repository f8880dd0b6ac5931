"""The proxy objective: same draws for all, rejection before training, early stop of validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import make_config, make_source

from detkds.detectors import build_detector, validation
from detkds.detectors.heads import crossing
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.train import Start
from detkds.errors import DatasetError, Rejected
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.objective import Goal

PKD = "global: none > none > norm_batch | l2"
ALL = """
global: catt > scale_2 > norm_N | l1
fgbg: mask > none > norm_C | l1
instance: none > none > norm_HW | l2
logits: norm_batch | l2
localization: sigmoid | giou
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("data")
    return make_source(folder / "train", 7), make_source(folder / "val", 9, seed=1)


def build(sources: tuple[Source, Source], **changes: Any) -> ProxyObjective:
    teacher: Any = build_detector(make_config(12), seed=9)
    with torch.no_grad():
        teacher.bbox_head.retina_cls.bias.zero_()  # scores around 1/2: only cells of which a teacher is confident teach boxes
    settings = TrainSettings(epochs=2, batch_size=2, device="cpu", seed=changes.pop("seed", 0))
    return ProxyObjective(make_config(), teacher, *sources, settings, **{"digests": {"subset": "s"}, **changes})


@pytest.fixture(scope="module")
def objective(sources: tuple[Source, Source]) -> ProxyObjective:
    return build(sources)


def test_same_recipe_same_score(objective: ProxyObjective, sources: tuple[Source, Source]) -> None:
    first = objective(Recipe.parse(ALL), Goal())
    objective(Recipe.parse(PKD), Goal())  # another candidate in between changes nothing
    assert objective(Recipe.parse(ALL), Goal()) == first
    assert build(sources)(Recipe.parse(ALL), Goal()) == first
    assert first.student_steps == 6  # 2 epochs of 6 images with boxes, 2 a step
    assert 0 <= first.score <= 1
    assert set(first.details) == {"AP50", "AP75", "loss"}


def test_a_loss_without_weight_is_no_distillation(objective: ProxyObjective) -> None:
    assert objective(Recipe.parse(PKD + " x 0"), Goal()) == objective(Recipe(), Goal())


def test_candidates_share_batches_and_draws(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[tuple[float, float]]] = {}
    advance = Training._advance

    def watch(self: Any, model: Any, batch: Any, *rest: Any) -> Any:
        ended = advance(self, model, batch, *rest)
        pixels = float(sum(image.float().sum() for image in batch["inputs"]))
        seen.setdefault(self.distiller.recipe.digest, []).append((pixels, torch.initial_seed()))
        return ended

    monkeypatch.setattr(Training, "_advance", watch)
    objective(Recipe(), Goal())
    objective(Recipe.parse("global: mask > none > none | l2"), Goal())
    plain, masked = seen.values()
    assert len(plain) == 6
    assert plain == masked


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [("global: none > none > norm_batch | l2 x 1000", "too-large"), ("logits: softmax_C | kl x 1e-30", "zero-gradient")],
)
def test_the_probe_rejects_before_any_step(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch, recipe: str, kind: str) -> None:
    monkeypatch.setattr(Training, "course", lambda *args, **kwargs: pytest.fail("trained a candidate that the filter rejects"))
    with pytest.raises(Rejected) as caught:
        objective(Recipe.parse(recipe), Goal())
    assert caught.value.kind == kind


def test_a_raising_loss_is_rejected_and_a_raising_student_is_not(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ValueError("two\nlines")

    monkeypatch.setattr(RecipeLoss, "__call__", fail)
    assert objective.identify(Recipe.parse("fgbg: none > none > none | ssim"))  # not the place to reject
    with pytest.raises(Rejected, match=r"^raised: ValueError: two lines$"):
        objective(Recipe.parse(PKD), Goal())
    monkeypatch.setattr(Training, "_advance", fail)
    with pytest.raises(ValueError, match="two"):
        objective(Recipe(), Goal())


def test_a_candidate_that_runs_out_of_memory_is_rejected(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(RecipeLoss, "__call__", fail)
    with pytest.raises(Rejected) as caught:
        objective(Recipe.parse(PKD), Goal())
    assert caught.value.kind == "out-of-memory"


def test_validation_stops_when_the_floor_is_out_of_reach(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    predict = validation.predict

    def watch(*args: Any, **kwargs: Any) -> Any:
        for found in predict(*args, **kwargs):
            looked_at.extend(found.image_ids)
            yield found

    monkeypatch.setattr(validation, "predict", watch)
    full = objective(Recipe(), Goal(floor=None))
    assert len(looked_at) == 9
    looked_at.clear()
    early = objective(Recipe(), Goal(floor=0.99))
    assert len(looked_at) < 9
    assert early.partial
    assert full.score <= early.score < 0.99
    assert early.student_steps == full.student_steps
    assert not full.partial
    assert objective(Recipe(), Goal(floor=full.score)) == full  # a floor that is reached hides nothing


def test_early_stop_can_be_turned_off(sources: tuple[Source, Source]) -> None:
    assert not build(sources, early_stop=False)(Recipe(), Goal(floor=0.99)).partial


def identity(objective: ProxyObjective, text: str) -> str:
    return objective.identify(Recipe.parse(text))


def test_candidates_of_equal_effect_have_one_id(objective: ProxyObjective) -> None:
    # By rule: mean squared error of standardised maps is 2 (1 - correlation).
    assert identity(objective, "global: none > none > norm_HW | l2 x 1") == identity(objective, "global: none > none > none | pearson x 2")
    # By effect alone: norm_batch shifts and stretches a whole channel, which correlation over HW does not see.
    bare, normed = "global: none > none > none | pearson", "global: none > none > norm_batch | pearson"
    assert Recipe.parse(bare).digest != Recipe.parse(normed).digest
    assert identity(objective, bare) == identity(objective, normed)


def test_candidates_of_different_effect_have_different_ids(objective: ProxyObjective) -> None:
    texts = [PKD, PKD + " x 2", "global: none > none > norm_HW | l1", "global: none > none > norm_HW | smooth_l1", ALL, ""]
    assert len({identity(objective, text) for text in texts}) == len(texts)


def test_the_id_depends_on_the_setting(objective: ProxyObjective, sources: tuple[Source, Source]) -> None:
    others = [build(sources, digests={"subset": "t"}), build(sources, seed=1), build(sources, start=Start(inherit=False))]
    ids = {identity(each, PKD) for each in (objective, *others)}
    assert len(ids) == 4
    assert identity(build(sources), PKD) == identity(objective, PKD)


def test_unsupported_knowledge_has_a_reason(sources: tuple[Source, Source], objective: ProxyObjective) -> None:
    assert {knowledge: objective.unsupported(knowledge) for knowledge in Knowledge} == dict.fromkeys(Knowledge)


@pytest.mark.parametrize("loss_filter", [True, False])
def test_a_word_that_the_pair_does_not_serve_rejects_the_candidate_only(
    sources: tuple[Source, Source], loss_filter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossing, "HEADS", frozenset({"GFLHead"}))  # this pair is one of RetinaNet
    with pytest.raises(Rejected, match="unsupported: cross reads what the teacher's head makes"):
        build(sources, loss_filter=loss_filter)(Recipe.parse("logits: cross | qfl"), Goal())


def test_search_val_without_boxes_is_refused(sources: tuple[Source, Source], tmp_path: Path) -> None:
    empty = make_source(tmp_path / "val", 3)
    text = empty.annotations.read_text()
    empty.annotations.write_text(text.replace('"iscrowd": 0', '"iscrowd": 1'))
    with pytest.raises(DatasetError, match="at least one box"):
        build((sources[0], empty))
