"""Runs as the stage would fill them in: one with everything, at the size that is asked for."""

from __future__ import annotations

import io
import math
import random

from PIL import Image, ImageDraw

from detkds.evaluation.example import Box, Example
from detkds.evaluation.result import Comparison
from detkds.evaluation.scores import Confusion, Cost, Detector, Interval, Scores
from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.report import Analysis, Fidelity, ReportData, ReportedStudy, ReportedTrial, StageCost

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
SHAPE = (1, 1.75, 0.98, math.nan, 0.9, 1.2, 0.6, 1.3, 1.4, math.nan, 1.2, 1.5)
"""Each figure as a multiple of AP."""
CLASSES = ("Platelets", "RBC", "WBC")
TIDE = {"Cls": 0.031, "Loc": 0.064, "Both": 0.009, "Dupe": 0.004, "Bkg": 0.022, "Miss": 0.082, "FalsePos": 0.13, "FalseNeg": 0.16}
APS = {"teacher": 0.4581, "student": 0.3484, "distilled": 0.3753}
DIGESTS = {"train set": "5f3c" * 16, "teacher": "9b1d" * 16, "student configuration": "77aa" * 16}


def sheet(ap: float, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Scores:
    """Scores that belong to an AP."""
    draw = random.Random(seed)
    curve = tuple(max(0.0, 1 - (place / 100) ** (1 + 6 * ap)) for place in range(101))
    forgiven = {name: tuple(value ** (0.8 - 0.13 * step) for value in curve) for step, name in enumerate(("Loc", "Sim", "Oth", "BG", "FN"))}
    counts = tuple(
        tuple(draw.randrange(60, 90) if row == column else draw.choice((0, 0, 0, 1, 4)) for column in range(len(classes) + 1))
        for row in range(len(classes) + 1)
    )
    factors = (0.7, 1.04, 1.26)
    return Scores(
        figures={name: ap * factor for name, factor in zip(AP_NAMES, SHAPE, strict=True)},
        per_class={
            name: {"AP": ap * (factors[place % 3] + (draw.random() - 0.5) * (place > 2) / 3), "objects": 17.0 + place}
            for place, name in enumerate(classes)
        },
        curves={"0.50": curve, "0.75": tuple(value**3 for value in curve)},
        error_curves={"C75": tuple(value**3 for value in curve), "C50": curve, **forgiven},
        tide={error: value * (0.5 / max(ap, 0.01)) for error, value in TIDE.items()},
        confusion=Confusion((*classes, "background"), counts, 0.5, 0.3),
        interval=Interval(0.95, {"AP": (ap - 0.012, ap + 0.011), "AP50": (1.75 * ap - 0.02, 1.75 * ap + 0.02)}),
    )


def picture(seed: int, width: int = 320, height: int = 240) -> bytes:
    """A JPEG of some discs on a gradient."""
    draw = random.Random(seed)
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for _ in range(9):
        x, y, size = draw.randrange(width), draw.randrange(height), draw.randrange(14, 50)
        pen.ellipse((x - size, y - size, x + size, y + size), fill=(draw.randrange(90, 230), 90, draw.randrange(60, 190)))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def example(number: int, classes: tuple[str, ...] = CLASSES) -> Example:
    """An image of five objects: the student finds three and sees one where nothing is, the distilled student finds four."""
    draw = random.Random(number)
    truth = tuple(
        Box((40.0 + 110 * place, 60.0 + draw.randrange(200), 90.0, 70.0 + draw.randrange(60)), draw.choice(classes)) for place in range(5)
    )
    student = (
        *(Box(box.box, box.label, 0.9 - 0.1 * place) for place, box in enumerate(truth[:3])),
        Box((500.0, 10.0, 60.0, 60.0), classes[0], 0.4),
    )
    distilled = tuple(Box((box.box[0] + 4, *box.box[1:]), box.label, 0.95 - 0.1 * place) for place, box in enumerate(truth[:4]))
    return Example(
        number, f"examples/{number}.jpg", 640, 480, 0.4, truth, {"student": student, "distilled": distilled}, picture=picture(number)
    )


def evaluation(classes: tuple[str, ...] = CLASSES, images: int = 72, examples: int = 2, kinds: tuple[str, ...] = ("bbox",)) -> Analysis:
    """Teacher, student and distilled student."""
    costs = {"teacher": (19_400_000, 61_300_000_000, 182.4), "student": (1_130_000, 2_210_000_000, 21.8)}
    detectors = {
        name: Detector(
            {kind: sheet(ap * (1 if kind == "bbox" else 0.9), classes, seed) for kind in kinds},
            f"RetinaNet, {costs.get(name, costs['student'])[0] / 1e6:.1f} million parameters",
            Cost(*costs.get(name, costs["student"])[:2], _latency(costs.get(name, costs["student"])[2]), "CPU, 2 threads", (240, 320)),
        )
        for seed, (name, ap) in enumerate(APS.items())
    }
    comparisons = tuple(
        Comparison("distilled", "student", kind, figure, difference, difference - 0.014, difference + 0.015, 0.95, 0.002, 1000)
        for kind in kinds
        for figure, difference in (("AP", 0.0269), ("AP50", 0.0471))
    )
    return Analysis(images, detectors, comparisons, tuple(example(number, classes) for number in range(examples)))


def _latency(median: float) -> dict[str, float]:
    return {"median": median, "low": median * 0.96, "high": median * 1.22}


def study(name: str, seed: int, size: int = 24, algorithm: str = "evolution") -> ReportedStudy:
    """A search in which some words are better than others."""
    draw = random.Random(f"{name} {seed}")
    worth = {
        word: draw.gauss(0, 0.008)
        for words in SLOTS.get(Knowledge(name) if name != "weights" else Knowledge.GLOBAL, {}).values()
        for word in words
    }
    trials = [ReportedTrial(0, "no distillation", 0.2981, "complete", seconds=41.2)]
    for number in range(1, size):
        text, value = _candidate(name, draw, worth)
        if draw.random() < 0.17:
            reason = draw.choice(("nan: loss of global at level 0", "too-large: 412.7 > 100", "zero-gradient: no weight moves"))
            trials.append(ReportedTrial(number, text, None, "rejected", reason, 1.3))
        else:
            learnt = 0.0005 * number if algorithm == "evolution" else 0.0
            score = 0.296 + value + draw.gauss(0, 0.004) + learnt
            trials.append(ReportedTrial(number, text, score, "complete", seconds=40 + 4 * draw.random(), partial=draw.random() < 0.15))
    return ReportedStudy(name, tuple(trials), algorithm)


def _candidate(name: str, draw: random.Random, worth: dict[str, float]) -> tuple[str, float]:
    if name == "weights":
        weights = [draw.choice((0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 8.0, 10.0)) for _ in RECIPE.genomes]
        return str(RECIPE.with_weights(weights)), 0.002 * weights[0] - 0.001 * weights[3]
    words = [draw.choice(vocabulary) for vocabulary in SLOTS[Knowledge(name)].values()]
    genome = Genome(Knowledge(name), tuple(words[:-1]), words[-1], draw.choice((0.5, 1.0, 5.0)))
    return str(genome), sum(worth[word] for word in words)


def sample() -> ReportData:
    """A finished run on bccd."""
    return ReportData(
        run="bccd",
        evaluation=evaluation(),
        studies=(*(study(knowledge, seed) for seed, knowledge in enumerate(Knowledge)), study("weights", 9)),
        recipe=RECIPE,
        fidelity=tuple(
            Fidelity(f"candidate {place}", 0.29 + 0.002 * place, 0.33 + 0.002 * (place + (place * 7) % 4)) for place in range(12)
        ),
        costs=(
            StageCost("subset", 1.4),
            *(StageCost(f"evolve {knowledge}", 821.5 + 60 * place, 4800) for place, knowledge in enumerate(Knowledge)),
            StageCost("weights", 1822.0, 6400),
            StageCost("train", 412.9, 600),
            StageCost("evaluate", 21.0),
        ),
        provenance={
            "Run": {"configuration": "run.yaml", "seed": "0", "budget": "24 candidates a search, 200 steps each"},
            "Digests": DIGESTS,
            "Versions": {"detkds": "0.1.0", "torch": "2.13.0", "mmdet": "3.4.0", "python": "3.11.9"},
            "Machine": {"processor": "2 cores", "memory": "7.8 GB", "accelerator": "none"},
        },
    )


def large() -> ReportData:
    """A run at COCO's size: searches of 60 candidates, one beside a random search, 80 classes, boxes and masks, 12 images."""
    classes = tuple(f"class {number}" for number in range(80))
    small = sample()
    studies = (*(study(knowledge, 1, 60) for knowledge in Knowledge), study("weights", 9, 60), study("global", 7, 60, "random"))
    return ReportData(
        "coco, RetinaNet R101 to R50",
        evaluation(classes, 5000, 12, ("bbox", "segm")),
        studies,
        RECIPE,
        small.fidelity,
        small.costs,
        small.provenance,
    )
