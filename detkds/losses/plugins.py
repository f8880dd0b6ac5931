"""Words of your own: decorators that register a function as a distance, a transform or a region, after trying it on a small batch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from detkds import plugins
from detkds.errors import GenomeError
from detkds.genome.knowledge import FEATURES, Knowledge
from detkds.genome.mathematics import check
from detkds.genome.words import SEMANTICS, SLOTS_OF, SPACES, Fold, Role, Word, check_word, register
from detkds.losses import probes
from detkds.losses.distances import over_positions
from detkds.losses.regions import BatchBoxes, count, gather
from detkds.losses.views import Views

Function = TypeVar("Function", bound=Callable[..., Any])
Knowledges = str | Sequence[str] | None

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")


def distance(
    name: str,
    *,
    formula: str,
    knowledge: Knowledges = None,
    spaces: Sequence[str] = SPACES,
    semantics: Sequence[str] = SEMANTICS,
    folds: Iterable[str] = (),
) -> Callable[[Function], Function]:
    """Register a distance between student and teacher, the last word of a genome.

    The decorated function takes float32 tensors (N, C, H, W); the teacher's has no gradient. It is one of

    * `(student, teacher)`: a value for each position, (N, C, H, W) or (N, 1, H, W), of which the positions' weighted mean is taken;
    * `(student, teacher, weight)`: the loss itself, a scalar; weight is (N, 1, H, W), 0 or more, or None for 1 everywhere;
    * for `knowledge="localization"`, `(student, teacher)` on left, top, right, bottom (N, 4, H, W): a value for each box, (N, H, W).

    Args:
        name: letters and digits, in parts joined by `_`.
        formula: TeX of s and t, or prose with TeX between dollar signs; the report draws it.
        knowledge: one or several names; left out: global, fgbg, instance and logits.
        spaces: the search spaces that offer it.
        semantics: those under which it has a meaning.
        folds: what canonical rules may rely on (`detkds.genome.words.Fold`); with none, no two genomes are taken for equal on its account.

    Raises:
        GenomeError: the name is taken, the formula cannot be drawn, or the function fails the probe; the message has one line.
    """
    of = _knowledges(name, knowledge, (*FEATURES, Knowledge.LOGITS))
    boxes = Knowledge.LOCALIZATION in of
    if boxes and len(of) > 1:
        raise GenomeError(f"the distance {name!r} compares boxes or values, not both: give localization a function of its own.")

    def accept(function: Function) -> Function:
        arguments = _arguments("distance", name, function, (2,) if boxes else (2, 3))
        (probes.box_distance if boxes else probes.distance)(name, function, arguments)

        def weighted(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
            return over_positions(function(student, teacher), weight)

        used = weighted if arguments == 2 and not boxes else function
        return _register(function, used, Word(name, "distance", of, formula, **_traits(spaces, semantics, folds)))

    return accept


def transform(
    name: str,
    *,
    formula: str,
    slot: str = "norm",
    knowledge: Knowledges = None,
    spaces: Sequence[str] = SPACES,
    semantics: Sequence[str] = SEMANTICS,
    folds: Iterable[str] = (),
) -> Callable[[Function], Function]:
    """Register a transform, a word before the bar of a genome.

    The decorated function takes and returns float32 tensors; it is applied to the student's and to the teacher's side:

    * slot norm: `(f)`, (N, C, H, W) to the same shape;
    * slot scale: `(f)`, (N, C, H, W) to (N, C, any height, any width);
    * slot attention: `(f)` to the same shape, or `(student, teacher)` to a pair of them, or `(student, teacher, generator)`, which draws
      what is random from a CPU generator;
    * slot transform: `(p)`, scores (N, K, H, W) of logits or sides (N, 4, H, W) of localization; sides keep their shape.

    Args:
        name: letters and digits, in parts joined by `_`.
        formula: TeX of f, or prose with TeX between dollar signs; the report draws it.
        slot: norm, scale, attention or transform.
        knowledge: one or several names; left out: those with the slot, for the slot transform logits.
        spaces: as for `distance`.
        semantics: as for `distance`.
        folds: as for `distance`.

    Raises:
        GenomeError: as `distance`.
    """
    check_word("slot of a transform", slot, ("norm", "scale", "attention", "transform"))
    of = _knowledges(name, knowledge, (Knowledge.LOGITS,) if slot == "transform" else FEATURES)

    def accept(function: Function) -> Function:
        arguments = _arguments("transform", name, function, (1, 2, 3) if slot == "attention" else (1,))
        probes.transform(name, function, slot, arguments, boxes=Knowledge.LOCALIZATION in of)
        used: Callable[..., Any] = function
        if slot == "scale":
            used = _scale(function)
        elif slot == "attention":
            used = _attention(function, arguments)
        return _register(function, used, Word(name, slot, of, formula, **_traits(spaces, semantics, folds)))

    return accept


def region(
    name: str,
    *,
    formula: str,
    knowledge: str = "fgbg",
    spaces: Sequence[str] = SPACES,
    semantics: Sequence[str] = SEMANTICS,
    reads_responses: bool = False,
) -> Callable[[Function], Function]:
    """Register a region, a word of the slot attention that decides where `fgbg` or `instance` look.

    The decorated function is

    * for fgbg `(boxes, level, stride)`: what each cell of a level (N, C, H, W) counts as foreground, (N, 1, H, W), 0 or more; where it is 0
      the cell is background. `boxes` has `corners` (B, 4), x1, y1, x2, y2 in pixels, and `image` (B,);
    * for instance `(views)`: the boxes to crop, one tensor (n, 4) in pixels for each image; see `detkds.losses.Views`.

    Args:
        name: as for `distance`.
        formula: as for `distance`.
        knowledge: fgbg or instance.
        spaces: as for `distance`.
        semantics: as for `distance`.
        reads_responses: whether a region of instances reads the heads, which need to be dense on the neck's grids then.

    Raises:
        GenomeError: as `distance`.
    """
    check_word("knowledge of a region", knowledge, ("fgbg", "instance"))
    instances = knowledge == "instance"

    def accept(function: Function) -> Function:
        _arguments("region", name, function, (1,) if instances else (3,))
        (probes.instances if instances else probes.region)(name, function)
        word = Word(
            name, "attention", (Knowledge(knowledge),), formula, role=Role.INSTANCES if instances else Role.REGION,
            reads_responses=reads_responses and instances, **_traits(spaces, semantics, ()),
        )  # fmt: skip
        return _register(function, _instances(function) if instances else function, word)

    return accept


def _scale(function: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def rescale(student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        scaled = function(student)
        size = (scaled.shape[2], scaled.shape[3])
        return scaled, function(teacher), None if weight is None else F.adaptive_max_pool2d(weight, size)

    return rescale


def _attention(function: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    def attend(student: Tensor, teacher: Tensor, generator: Generator) -> Any:
        if arguments == 1:
            return function(student), function(teacher)
        return function(student, teacher) if arguments == 2 else function(student, teacher, generator)

    return attend


def _instances(function: Callable[[Views], Sequence[Tensor]]) -> Callable[[Views], tuple[BatchBoxes | None, None]]:
    def found(views: Views) -> tuple[BatchBoxes | None, None]:
        boxes = tuple(function(views))
        return (gather(boxes, views.batch_shape), None) if count(boxes) else (None, None)

    return found


def _register(function: Function, used: Callable[..., Any], word: Word) -> Function:
    """Check name and formula, and put the word into the registry."""
    if not _NAME.fullmatch(word.name) or len(word.name) > 32:
        raise GenomeError(f"a word's name has letters and digits in parts joined by _, 32 at most, got {word.name!r}.")
    formula = word.formula if "$" in word.formula else f"${word.formula}$"
    try:
        check(formula)
    except ValueError as error:
        raise GenomeError(f"the word {word.name!r} is refused: {error}") from None
    made = Word(**{**vars(word), "formula": formula, "module": plugins.note(function), "source": function.__qualname__})
    made.functions.update(dict.fromkeys(word.semantics, used))
    register(made)
    return function


def _knowledges(name: str, given: Knowledges, usual: tuple[Knowledge, ...]) -> tuple[Knowledge, ...]:
    if given is None:
        return usual
    names = (given,) if isinstance(given, str) else tuple(given)
    for one in names:
        check_word(f"knowledge of the word {name}", one, tuple(SLOTS_OF))
    return tuple(dict.fromkeys(map(Knowledge, names)))


def _traits(spaces: Sequence[str], semantics: Sequence[str], folds: Iterable[str]) -> dict[str, Any]:
    for what, given, known in (("space", spaces, SPACES), ("semantics", semantics, SEMANTICS), ("fold", folds, tuple(Fold))):
        for one in given:
            check_word(what, one, known)
    return {"spaces": tuple(spaces), "semantics": tuple(semantics), "folds": frozenset(map(Fold, folds))}


def _arguments(kind: str, name: str, function: Callable[..., Any], allowed: tuple[int, ...]) -> int:
    """How many positional arguments a function requires."""
    if not callable(function):
        raise GenomeError(f"the {kind} {name!r} must be a function, got {type(function).__name__}.")
    required = [
        parameter for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    if len(required) not in allowed:
        raise GenomeError(
            f"the {kind} {name!r} must be a function of {' or '.join(map(str, allowed))} argument(s), got {len(required)}: "
            f"{', '.join(parameter.name for parameter in required) or 'none'}."
        )
    return len(required)
