"""A student that is taught by its own moving average: what the average is, that it resumes exactly, and that nobody shares it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import make_config, make_source
from test_distiller import ALL, KINDS
from test_unlabelled_images import unlabelled_source
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, build_detector
from detkds.detectors.average_teacher import AverageTeacher, MovingAverage
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.train import Start
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.errors import ArtifactError, ConfigError, Interrupted
from detkds.genome import Recipe
from detkds.objective import Goal, Outcome
from detkds.unlabelled import Unlabelled

RECIPE = Recipe.parse("global: mask > none > none | l2 x 5\nlogits: none | l2 x 1")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train")


def average(momentum: float = 0.999) -> AverageTeacher:
    return AverageTeacher(build_detector(make_config(), seed=7), momentum)


def training(source: Source, *, momentum: float = 0.999, recipe: Recipe = RECIPE, bare: Source | None = None, **changes: Any) -> Training:
    settings, config = TrainSettings(**{"epochs": 2, "batch_size": 2, "device": "cpu", **changes}), make_config()
    use = Unlabelled(min_score=0.01)
    distiller = DistilledDetector(build_detector(config, seed=0), average(momentum), recipe, use if bare else None)
    others = bare and UnlabelledSamples(config, bare, use, batch_size=2, seed=settings.seed)
    return Training(distiller, config, Samples(config, source, training=True, seed=settings.seed), settings, unlabelled=others)


def everything(trained: Training) -> dict[str, Tensor]:
    """All that a training holds, its average included."""
    (held,) = trained.distiller.averages
    return {**trained.distiller.state_dict(), **{f"average.{name}": tensor for name, tensor in held.state().items()}}


def different(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [name for name in left if not torch.equal(left[name], right[name])]


def of_weight(value: float) -> nn.Module:
    """A layer of one weight and one batch norm, whose running mean is ten times the weight."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        module[0].weight.fill_(value)
        module[1].running_mean.fill_(10 * value)
    return module


def test_the_average_by_hand() -> None:
    """Momentum 3/4: steps 1 to 3 keep 0, 1/2 and 2/3, so all have equal parts; from step 4 on a step keeps 3/4."""
    held = MovingAverage(of_weight(100.0), 0.75)
    expected = [2.0, (2 + 4) / 2, (2 + 4 + 9) / 3, 0.75 * 5 + 0.25 * 1, 0.75 * 4 + 0.25 * 8]
    for value, mean in zip((2.0, 4.0, 9.0, 1.0, 8.0), expected, strict=True):
        held.follow(of_weight(value))
        assert float(held.detector[0].weight) == pytest.approx(mean)
        assert float(held.detector[1].running_mean) == 10 * value  # the statistics are the student's own
    assert not held.detector.training
    assert not held.detector[0].weight.requires_grad


@pytest.mark.parametrize("momentum", [0.4, 1.0])
def test_a_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.momentum must be at least 0\.5 and below 1"):
        average(momentum)


def test_each_step_is_taught_by_the_average_of_the_students_before_it(source: Source) -> None:
    run = training(source, momentum=0.75)
    (held,) = run.distiller.averages
    name = "backbone.conv1.weight"
    seen: list[tuple[Tensor, Tensor]] = []
    look = held.detector.extract_feat

    def noted(inputs: Tensor) -> Any:
        seen.append((held.detector.get_parameter(name).clone(), run.student.get_parameter(name).detach().clone()))
        return look(inputs)

    held.detector.extract_feat = noted
    run.run()
    taught, students = zip(*seen, strict=True)
    assert len(seen) == 6
    assert torch.equal(taught[0], students[0])  # before the first step both have the first weights
    mean = students[1]
    for step in range(1, 6):  # students[step] is the student after so many steps
        kept = min(1 - 1 / step, 0.75)
        mean = kept * mean + (1 - kept) * students[step]
        torch.testing.assert_close(taught[step], mean)
    assert not torch.equal(taught[5], students[5])


def test_nothing_of_the_average_is_trained_or_saved_with_the_student(source: Source) -> None:
    run, plain = training(source), build_detector(make_config(), seed=0)
    (held,) = run.distiller.averages
    trained = {id(parameter) for group in run.optimizer.param_groups for parameter in group["params"]}
    assert not trained & {id(parameter) for parameter in held.detector.parameters()}
    assert {name for name in run.distiller.state_dict() if name.startswith("student.")} == {
        f"student.{name}" for name in plain.state_dict()
    }
    assert not any("average" in name or "module" in name for name in run.distiller.state_dict())
    run.run()
    assert all(parameter.grad is None for parameter in held.detector.parameters())
    assert not any(module.training for module in held.detector.modules())


def test_it_teaches_something_and_the_same_training_repeats_it(source: Source) -> None:
    one, again, other, without = training(source), training(source), training(source, momentum=0.5), training(source, recipe=ALL)
    without = Training(DistilledDetector(build_detector(make_config(), seed=0), None, Recipe()), make_config(), one.samples, one.settings)
    for run in (one, again, other, without):
        run.run()
    assert different(everything(one), everything(again)) == []
    assert different(one.student.state_dict(), other.student.state_dict())
    assert different(one.student.state_dict(), without.student.state_dict())


@pytest.mark.parametrize("bare", [False, True])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(source: Source, tmp_path: Path, bare: bool) -> None:
    beside = unlabelled_source(tmp_path / "bare") if bare else None
    whole, file = training(source, bare=beside), tmp_path / "training.pth"
    assert whole.run() == 6
    for stop_at in (1, 4):

        def stop(step: int, steps: int, losses: Mapping[str, float], at: int = stop_at) -> None:
            if step == at:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            training(source, bare=beside).run(checkpoint=file, progress=stop)
    last = training(source, bare=beside)
    assert last.run(checkpoint=file) == 2
    assert different(everything(whole), everything(last)) == []
    with pytest.raises(ArtifactError, match=r"belongs to another training: averages was \[0\.999\] and is \[0\.9\]"):
        training(source, momentum=0.9, bare=beside).run(checkpoint=file)


@pytest.mark.parametrize("family", ["retinanet", "faster_rcnn"])
def test_every_knowledge_can_be_taught(tiny: Callable[..., nn.Module], batch: dict[str, Any], family: str) -> None:
    detector = DistilledDetector(tiny(family), AverageTeacher(tiny(family, seed=1), 0.9), ALL).train()
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss")
    assert all(losses[name].isfinite() for name in KINDS)
    assert sum(losses[name] for name in KINDS).requires_grad


def test_a_copy_of_a_distiller_has_an_average_of_its_own(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet"), AverageTeacher(tiny("retinanet", seed=1), 0.9), RECIPE, None, TeacherPass()).train()
    copied = deepcopy(detector)
    before = {name: tensor.clone() for name, tensor in detector.averages[0].state().items()}
    with torch.no_grad():
        copied.student.get_parameter("backbone.conv1.weight").add_(1)
    copied.follow()
    assert different(detector.averages[0].state(), before) == []
    assert different(copied.averages[0].detector.state_dict(), detector.averages[0].detector.state_dict()) == ["backbone.conv1.weight"]
    alone = DistilledDetector(deepcopy(copied.student), AverageTeacher(tiny("retinanet"), 0.9), RECIPE).train()
    torch.manual_seed(0)
    losses = copied(**copied.data_preprocessor(batch, True), mode="loss")  # with its own teacher: the very same weights
    torch.manual_seed(0)
    expected = alone(**alone.data_preprocessor(batch, True), mode="loss")
    assert all(torch.equal(losses[name], expected[name]) for name in losses if name.startswith("loss_kd"))


@pytest.fixture(scope="module")
def objective(source: Source, tmp_path_factory: pytest.TempPathFactory) -> ProxyObjective:
    val = make_source(tmp_path_factory.mktemp("val") / "val", seed=3)
    settings = TrainSettings(epochs=1, batch_size=2, device="cpu")
    return ProxyObjective(make_config(), average(), source, val, settings, start=Start(inherit=False))


CANDIDATES = ["global: none > none > none | l2 x 10", "global: none > none > none | l1 x 10", "logits: none | l2 x 5"]


def scored(answer: Any) -> tuple[Any, ...]:
    assert isinstance(answer, Outcome), answer
    return answer.score, answer.details["loss"]


def test_candidates_side_by_side_are_each_taught_by_their_own_average(objective: ProxyObjective) -> None:
    jobs = [(Recipe.parse(text), Goal()) for text in CANDIDATES]
    together = [scored(answer) for answer in objective.together(jobs)]
    alone = [scored(objective.together([job])[0]) for job in jobs]
    assert together == alone
    assert len({loss for _, loss in together}) == len(jobs)


def test_candidates_are_told_apart_although_an_average_begins_as_its_student(objective: ProxyObjective) -> None:
    recipes = [Recipe.parse(text) for text in CANDIDATES]
    assert len({objective.identify(recipe) for recipe in recipes}) == len(recipes)
    assert objective.identify(recipes[0]) == objective.identify(Recipe.parse("global: none > scale_1 > none | l2 x 10"))


def test_what_a_loss_does_before_a_training_is_refused(objective: ProxyObjective) -> None:
    with pytest.raises(ConfigError, match="the teacher is the student's moving average, which is the student itself before a training"):
        objective.diagnose(Recipe.parse(CANDIDATES[0]))
