"""The summary of stage 1 as Markdown, for the pipeline's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkds.data.sampling.restarts import Restarts
from detkds.data.sampling.strata import SIZES

Plain = Mapping[str, Any]

MAX_CLASSES = 10  # named in one line


def markdown(parts: Mapping[str, Plain], summary: Plain, seconds: float, equal_time: Restarts) -> str:
    """Tables of the parts: what they hold, how close they are to the whole beside random draws, and where they are farthest from it.

    Args:
        parts: COCO dicts by name.
        summary: of the draw (see `data.subset.Split`), with `counting` and `content`.
        seconds: how long search-train's draw took.
        equal_time: random draws in that time.
    """
    drawn = summary["parts"]
    sections = [
        _table(("part", "images", "annotations"), [(_name(n), len(p["images"]), len(p["annotations"])) for n, p in parts.items()]),
        "Closeness to the images that may be drawn; 0 is best. criterion: largest less smallest ratio of a class and size's share of the "
        "objects, as for COCO minitrain; χ²: over the same cells.",
        _table(("part", "criterion", "best of 1,000 random draws", "χ²", "best of 1,000 random draws"), _closeness(drawn)),
        f"search-train took {seconds:.2f} s; {equal_time.draws} random draws in the same time reach a criterion of "
        f"{equal_time.criterion:.3f} and χ² {equal_time.chi2:.2f}.",
        "Share of small, medium and large objects over the whole's share:",
        _table(("part", *SIZES), [(_name(name), *(_ratio(part["by_size"][size]) for size in SIZES)) for name, part in drawn.items()]),
        "Farthest from the whole:",
        _table(("part", "class", "size", "objects", "of", "ratio"), _worst(drawn)),
        *(_notes(summary)),
    ]
    return "\n\n".join(sections) + "\n"


def _closeness(drawn: Mapping[str, Plain]) -> list[tuple[str, ...]]:
    return [
        (
            _name(name),
            f"{part['criterion']:.3f}",
            f"{part['random']['criterion']:.3f}",
            f"{part['chi2']:.2f}",
            f"{part['random']['chi2']:.2f}",
        )
        for name, part in drawn.items()
    ]


def _worst(drawn: Mapping[str, Plain]) -> list[tuple[object, ...]]:
    return [
        (_name(name), _cell(cell["class"]), cell["size"], cell["objects"], cell["of"], _ratio(cell["ratio"]))
        for name, part in drawn.items()
        for cell in part["worst"]
    ]


def _notes(summary: Plain) -> list[str]:
    full, content, rules = summary["full"], summary["content"], summary["counting"]
    repeated = len(content["repeated_train_images"])
    lines = [
        f"rules: sizes by {rules['sizes']} area, crowd regions: {rules['crowd']}, images without objects: {rules['empty']}; "
        f"{full['images']} images may be drawn, {full['left_out']} may not, {full['empty_images']} have no objects",
        f"{content['compared_files']} image files compared by {content['compared_by']}: none is in train and test; {repeated} training "
        f"images repeat another and are not drawn, {content['repeated_test_images']} test images repeat another",
    ]
    if beside := summary.get("unlabelled"):
        lines.append(
            f"{beside['images']} images without labels; left out: {beside['labelled']} labelled for training, "
            f"{beside['repeated']} repeated, {beside['others']} not named like an image"
        )
    if full["absent_classes"]:
        lines.append(f"classes without an object: {_listed(full['absent_classes'])}")
    for name, part in summary["parts"].items():
        if part["missing_classes"]:
            lines.append(f"{_name(name)} lacks {len(part['missing_classes'])} classes: {_listed(part['missing_classes'])}")
    return ["\n".join(f"* {line}" for line in lines)]


def _listed(classes: list[str]) -> str:
    more = f" and {len(classes) - MAX_CLASSES} more" if len(classes) > MAX_CLASSES else ""
    return ", ".join(map(_cell, classes[:MAX_CLASSES])) + more


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(head) - 1), *lines[1:]])


def _name(part: str) -> str:
    return part.replace("_", "-")


def _cell(text: str) -> str:
    """A class's name, which comes from outside, as plain text within a table."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+!|~" else sign for sign in text)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
