"""Candidates trained side by side: each is, bit for bit, what it is alone."""

from __future__ import annotations

import copy
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from pictures import make_config, make_source
from small_families import FAMILIES, small
from torch import nn

from detkds.detectors import build_detector, device
from detkds.detectors import objective as module
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.validation import Validation
from detkds.errors import ConfigError, Rejected
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.objective import Answer, Goal, Outcome
from detkds.search.space import SearchSpace

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
PKD, MASKED = (Recipe.parse(f"global: {words}") for words in ("none > none > norm_batch | l2", "mask > none > none | l2 x 3"))
LOGITS = Recipe.parse("logits: none | l2 x 2; localization: none | giou".replace("; ", "\n"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("data")
    return make_source(folder / "train", 7), make_source(folder / "val", 4, seed=1)


def build(sources: tuple[Source, Source], config: Config | None = None, teacher: nn.Module | None = None, **changes: Any) -> ProxyObjective:
    taught: Any = teacher or build_detector(make_config(12), seed=9)
    if teacher is None:
        with torch.no_grad():
            taught.bbox_head.retina_cls.bias.zero_()
    settings = TrainSettings(epochs=changes.pop("epochs", 2), batch_size=2, device="cpu")
    return ProxyObjective(config or make_config(), taught, *sources, settings, **{"early_stop": False, **changes})


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """sha256 of each student's weights, in the order in which students are scored."""
    seen: list[str] = []
    score = Validation.outcome

    def watch(self: Validation, student: nn.Module, *rest: Any) -> Outcome:
        content = b"".join(tensor.numpy().tobytes() for tensor in student.state_dict().values())
        seen.append(hashlib.sha256(content).hexdigest())
        return score(self, student, *rest)

    monkeypatch.setattr(Validation, "outcome", watch)
    return seen


def alone(objective: ProxyObjective, jobs: list[tuple[Recipe, Goal]]) -> list[Answer]:
    return [objective.together([job])[0] for job in jobs]


def opened(*recipes: Recipe) -> list[tuple[Recipe, Goal]]:
    return [(recipe, Goal()) for recipe in recipes]


def assert_alike(left: list[Answer], right: list[Answer]) -> None:
    assert [type(answer) for answer in left] == [type(answer) for answer in right]
    assert [answer if isinstance(answer, Outcome) else str(answer) for answer in left] == [
        answer if isinstance(answer, Outcome) else str(answer) for answer in right
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_each_student_of_a_cohort_is_the_one_trained_alone(few: tuple[Source, Source], weights: list[str], name: str) -> None:
    config = small(name)
    teacher = build_detector(small(name), seed=9)
    objective = build(few, config, teacher, epochs=4, loss_filter=False)
    jobs = opened(PKD, MASKED, LOGITS if objective.unsupported(Knowledge.LOGITS) is None else Recipe())
    together = objective.together(jobs)
    assert_alike(together, alone(build(few, config, teacher, epochs=4, loss_filter=False), jobs))
    half = len(weights) // 2
    assert weights[:half] == weights[half:]
    assert len(set(weights[:half])) == half > 2, together  # the losses did something
    assert all(isinstance(answer, Outcome) for answer in together), together


@pytest.mark.parametrize("knowledge", Knowledge)
def test_no_loss_of_the_space_disturbs_its_neighbours(sources: tuple[Source, Source], weights: list[str], knowledge: Knowledge) -> None:
    space, rng = SearchSpace.preset("extended"), random.Random(3)
    jobs = opened(*(Recipe((space.sample(rng, knowledge),)) for _ in range(8)))
    objective = build(sources, epochs=1)
    together = objective.together(jobs)
    assert sum(isinstance(answer, Outcome) for answer in together) > 3
    assert_alike(together, alone(objective, jobs))
    half = len(weights) // 2
    assert weights[:half] == weights[half:]


def test_a_batch_is_loaded_and_the_teacher_looks_once_a_step(sources: tuple[Source, Source], monkeypatch: pytest.MonkeyPatch) -> None:
    objective = build(sources)
    loaded, looked, asked = [], [], []
    item = Samples.__getitem__
    monkeypatch.setattr(Samples, "__getitem__", lambda self, key: loaded.append(key) or item(self, key))
    objective.task.teacher.neck.register_forward_hook(lambda *args: looked.append(1))
    objective.task.teacher.bbox_head.register_forward_hook(lambda *args: asked.append(1))
    objective.identify(PKD)
    objective.diagnose(PKD)  # the batches on which losses are tried are kept
    for seen in (loaded, looked, asked):
        seen.clear()
    objective.together(opened(Recipe(), PKD, MASKED, LOGITS))
    steps, tried, images, scored = 6, 1, 12, 4  # the loss filter tries losses on one batch
    assert (len(looked), len(asked)) == (steps + tried, steps + tried)
    assert len(loaded) == images + 4 * scored  # each student looks at search-val by itself


def test_later_candidates_ask_the_teacher_nothing_and_are_what_they_are_alone(
    sources: tuple[Source, Source], weights: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = opened(PKD, MASKED, LOGITS, PKD)
    found = {}
    for limit in (0, 40_000, 2**20):  # nothing, about three of six steps, all
        monkeypatch.setattr(module, "KEPT_BYTES", limit)
        objective = build(sources, loss_filter=False)
        objective.identify(LOGITS)
        looked: list[int] = []
        objective.task.teacher.neck.register_forward_hook(lambda *args, looked=looked: looked.append(1))
        answers, passes = [], []
        for job in jobs:
            answers += objective.together([job])
            passes.append(len(looked))
            looked.clear()
        found[limit] = (answers, list(weights), passes)
        weights.clear()
    steps = 6
    assert found[0][2] == [steps] * 4
    assert found[40_000][2] == [steps, 3, 3, 4], "what the head answers to LOGITS takes the room of a step"
    assert found[2**20][2] == [steps, 0, 0, 0]
    for answers, students, _ in found.values():
        assert_alike(answers, found[0][0])
        assert students == found[0][1]
    assert len(set(found[0][1])) == 3


def test_a_candidate_that_fails_leaves_and_the_others_go_on(sources: tuple[Source, Source], weights: list[str]) -> None:
    class Bad(Exception):
        pass

    objective = build(sources)
    wild = Recipe.parse("global: none > none > none | l2 x 10")
    raising = Recipe.parse("global: none > none > none | l1")
    closed = Recipe.parse("global: none > none > none | smooth_l1")
    rejected = Recipe.parse("global: none > none > norm_batch | l2 x 1000")
    losses = RecipeLoss.__call__

    def spoilt(self: RecipeLoss, views: Any, step: int) -> Any:
        found = losses(self, views, step)
        if step == 2 and self.recipe == wild:
            return {name: loss * float("nan") for name, loss in found.items()}
        if step == 3 and self.recipe == raising:
            raise Bad("in the middle")
        if step == 4 and self.recipe == closed:
            raise ConfigError("nothing to compare")
        return found

    jobs = opened(wild, PKD, raising, rejected, MASKED, closed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecipeLoss, "__call__", spoilt)
        answers = objective.together(jobs)
        assert_alike(answers, alone(objective, jobs))
    kinds = [answer.kind if isinstance(answer, Rejected) else type(answer).__name__ for answer in answers]
    assert kinds == ["nan", "Outcome", "raised", "too-large", "Outcome", "ConfigError"]
    assert isinstance(answers[0], Rejected)
    assert answers[0].student_steps == 2
    assert_alike([answers[1], answers[4]], build(sources).together(opened(PKD, MASKED)))
    assert len(set(weights)) == 2  # of PKD and MASKED, three times each
    assert len(weights) == 6


def test_a_student_that_cannot_be_trained_at_all_is_no_candidates_fault(
    sources: tuple[Source, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ValueError("two")

    monkeypatch.setattr(Training, "_advance", fail)
    answers = build(sources).together(opened(Recipe(), PKD))
    assert [type(answer) for answer in answers] == [ValueError, Rejected]


def test_who_runs_out_of_memory_beside_others_is_trained_again_alone(sources: tuple[Source, Source]) -> None:
    lines: list[str] = []
    objective = build(sources, note=lines.append)
    expected = alone(objective, opened(PKD, MASKED))
    losses, full = RecipeLoss.__call__, [True]

    def crowded(self: RecipeLoss, views: Any, step: int) -> Any:
        if step == 1 and self.recipe == MASKED and full:
            full.clear()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return losses(self, views, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecipeLoss, "__call__", crowded)
        assert_alike(objective.together(opened(PKD, MASKED)), expected)
    assert lines == [f"memory ran out side by side: `{MASKED}` is trained again alone"]


def test_students_that_memory_has_no_room_for_wait(sources: tuple[Source, Source], monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    objective = build(sources, note=lines.append)
    jobs = opened(Recipe(), PKD, MASKED)
    expected = objective.together(jobs)
    assert lines == []
    monkeypatch.setattr(module, "room", lambda student, device, **how: 2)
    parts: list[int] = []
    side_by_side = module.side_by_side
    monkeypatch.setattr(module, "side_by_side", lambda part, *rest: parts.append(len(part)) or side_by_side(part, *rest))
    assert_alike(objective.together(jobs), expected)
    assert parts == [2, 1]
    assert lines == ["trains 2 instead of 3 candidates side by side: memory has no room for the students of more"]


def test_the_room_is_half_of_what_is_free_for_five_copies_of_the_weights() -> None:
    student = nn.Linear(99, 10)  # 1,000 numbers of 4 bytes
    assert device.room(student, torch.device("cpu"), free=2 * 5 * 4000 * 3 + 39_999) == 3
    assert device.room(student, torch.device("cpu"), free=0) == 0
    assert device.room(student, torch.device("cpu")) > 1000


VERSION_2 = ("memory.max", "memory.current", "inactive_file")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.mark.parametrize(("folder", "names"), [(".", VERSION_2), ("memory", VERSION_1)])
def test_a_cgroup_leaves_what_it_has_not_given_and_what_it_can_drop(tmp_path: Path, folder: str, names: tuple[str, str, str]) -> None:
    limit, used, cached = names
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    for name, text in ((limit, "1000\n"), (used, "700\n"), ("memory.stat", f"anon 400\n{cached} 250\n")):
        (place / name).write_text(text)
    assert device._cgroup_bytes(tmp_path) == 550


def test_a_cgroup_without_a_limit_leaves_everything(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert device._cgroup_bytes(tmp_path) == device._cgroup_bytes(tmp_path / "none") > 2**60


def test_what_hooks_change_of_the_data_set_the_next_training_begins_without(sources: tuple[Source, Source]) -> None:
    config = small("rtmdet-tiny")
    samples = Samples(config, sources[0], training=True)
    settings = TrainSettings(epochs=4, batch_size=2, device="cpu")
    student = build_detector(config, seed=0)
    found = []
    for _ in range(2):
        distiller = DistilledDetector(copy.deepcopy(student), None, Recipe())
        Training(distiller, config, samples, settings).run()
        found.append({name: tensor.clone() for name, tensor in distiller.student.state_dict().items()})
    assert any(hook.type == "PipelineSwitchHook" for hook in config.custom_hooks)
    assert [name for name in found[0] if not torch.equal(found[0][name], found[1][name])] == []
