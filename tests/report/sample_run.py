"""A run as the stage would fill it in."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from detkds.genome import Knowledge, Recipe
from detkds.genome.formula import formula
from detkds.report import Detector, ReportData, Role, StageCost, Study, TrialPoint

RECIPE = Recipe.parse(
    """
    global: catt > scale_2 > norm_N | l2 x 8
    fgbg: none > none > norm_HW | pearson x 2
    instance: none > none > norm_batch | l1 x 0
    logits: softmax_C | kl x 1
    localization: none | giou x 0.5
    """
)
AP_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Sheet:
    """Scores of a detector, as an evaluation has them."""

    figures: dict[str, float]
    per_class: dict[str, float] = field(default_factory=dict)
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    kind: str = "bbox"
    images: int = 72


def sheet(ap: float) -> Sheet:
    shape = (1, 1.75, 0.98, math.nan, 0.9, 1.2, 0.6, 1.3, 1.4, math.nan, 1.2, 1.5)
    curve = tuple(max(0.0, 1 - (place / 100) ** (1 + 6 * ap)) for place in range(101))
    return Sheet(
        {name: ap * factor for name, factor in zip(AP_NAMES, shape, strict=True)},
        {"Platelets": ap * 0.7, "RBC": ap * 1.04, "WBC": ap * 1.26},
        {"0.50": curve, "0.75": tuple(value**3 for value in curve)},
    )


def study(name: str, genomes: list[str], seed: int, size: int = 24) -> Study:
    draw = random.Random(seed)
    trials = [TrialPoint(0, "no distillation", 0.2981, "complete", seconds=41.2)]
    for number in range(1, size):
        text = draw.choice(genomes)
        if draw.random() < 0.17:
            reason = draw.choice(("nan: loss of global at level 0", "too-large: 412.7 > 100", "zero-gradient: no weight moves"))
            trials.append(TrialPoint(number, text, None, "rejected", reason, 1.3))
        else:
            score = 0.285 + 0.045 * draw.random() + 0.0007 * number
            trials.append(TrialPoint(number, text, score, "complete", seconds=40 + 4 * draw.random(), partial=draw.random() < 0.15))
    return Study(name, tuple(trials))


def sample() -> ReportData:
    """A finished run on bccd."""
    words = [
        "global: catt > scale_2 > norm_N | l2 x 8",
        "global: none > none > norm_batch | l2 x 5",
        "global: satt > local_2 > norm_C | ssim x 2",
    ]
    studies = [study(knowledge, [word.replace("global", knowledge) for word in words], seed) for seed, knowledge in enumerate(Knowledge)]
    return ReportData(
        run="bccd",
        detectors=(
            Detector(Role.DISTILLED, "retinanet_bccd_student", sheet(0.3753)),
            Detector(Role.TEACHER, "retinanet_mobilenetv2", sheet(0.4581)),
            Detector(Role.BASELINE, "retinanet_bccd_student", sheet(0.3484)),
        ),
        studies=(*studies, study("weights", [str(RECIPE)], 9)),
        recipe=RECIPE,
        formulas={genome.knowledge: formula(genome) for genome in RECIPE.active},
        costs=(
            StageCost("subset", 1.4),
            *(StageCost(f"evolve {knowledge}", 821.5 + 60 * place, 4800) for place, knowledge in enumerate(Knowledge)),
            StageCost("weights", 1822.0, 6400),
            StageCost("train", 412.9, 600),
            StageCost("evaluate", 21.0),
        ),
        provenance={
            "Run": {"configuration": "run.yaml", "seed": "0", "budget": "24 candidates a search, 200 steps each"},
            "Digests": {"train set": "5f3c" * 16, "teacher": "9b1d" * 16, "student configuration": "77aa" * 16},
            "Versions": {"detkds": "0.1.0", "torch": "2.13.0", "mmdet": "3.4.0", "python": "3.11.9"},
            "Machine": {"processor": "2 cores", "memory": "7.8 GB", "accelerator": "none"},
        },
    )
