"""The registry of words: what a genome may say, slot by slot, with everything the project knows about each word.

Vocabulary, search spaces, formulas, canonical rules, losses and the tables of docs/genome.md derive from it. The words of the project are
the rows of `detkds.genome.vocabulary`, and `detkds.losses` attaches their functions. A plugin registers its words with the decorators of
`detkds.losses.plugins`. Imports no torch.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum, auto
from typing import Any, TypeVar

from detkds.errors import DetKDSError, GenomeError
from detkds.genome.knowledge import FEATURES, Knowledge

SEMANTICS = ("paper", "released", "sound")
SPACES = ("paper", "extended")
NONE = "none"

SLOTS_OF: dict[Knowledge, tuple[str, ...]] = {
    **dict.fromkeys(FEATURES, ("attention", "scale", "norm", "distance")),
    Knowledge.LOGITS: ("transform", "distance"),
    Knowledge.LOCALIZATION: ("transform", "distance"),
}
"""The slots of a knowledge, in the order in which a genome text writes them."""


class Role(StrEnum):
    """Where in a loss a word acts; `FeaturePass` has the signatures."""

    VALUES = auto()
    """On the values that are compared, or as the distance between them: every word that does not declare another place."""
    LEVELS = auto()
    """On whole neck levels, before regions or crops are taken."""
    SCORES = auto()
    """No function: a position counts by the teacher's best score there."""
    GENERATED = auto()
    """No function: both sides are what modules that train beside the student make of the levels (`detkds.losses.trained`)."""
    CROSSED = auto()
    """No function: the student's side is what the teacher's head makes of the student's head features."""
    REGION = auto()
    """Decides what a foreground cell of `fgbg` counts."""
    INSTANCES = auto()
    """Decides which boxes `instance` crops."""


class Fold(StrEnum):
    """Properties from which the canonical rules derive that two genomes train alike. A word without any folds with nothing."""

    IDENTITY = auto()
    """Changes nothing."""
    WEIGHS_ONLY = auto()
    """Leaves the values and only weighs positions."""
    IGNORES_WEIGHTS = auto()
    """Reduces over positions itself: does not see how they are weighed."""
    PATCHES = auto()
    """Moves patches of a map to the batch, so that its border may be padded."""
    BY_POSITION = auto()
    """Treats each position by itself: patches change nothing."""
    REORDERS = auto()
    """Only reorders the entries."""
    BY_ENTRY = auto()
    """Compares entry by entry: their order changes nothing."""


@dataclass(frozen=True, eq=False)
class Word:
    """One word.

    Args:
        name: as a genome text writes it.
        slot: attention, scale, norm, transform or distance.
        knowledges: those whose genomes may use it.
        formula: what it makes of f, or of s and t as a distance: prose with TeX between dollar signs.
        released: the same under semantics `released`, where it differs.
        spaces: the search spaces that offer it.
        semantics: those that give it a usable meaning.
        folds: what the canonical rules may rely on.
        role: where it acts.
        reads_responses: whether feature knowledge with this word also reads the heads.
        beside: whether a recipe may have it beside another genome of its knowledge: maps of attention, and relations.
        module: where a plugin defines it; empty for the project's own words.
        source: the name of the plugin's function there.
        functions: semantics to function, attached by `operation`.
    """

    name: str
    slot: str
    knowledges: tuple[Knowledge, ...]
    formula: str
    released: str = ""
    spaces: tuple[str, ...] = SPACES
    semantics: tuple[str, ...] = SEMANTICS
    folds: frozenset[Fold] = frozenset()
    role: Role = Role.VALUES
    reads_responses: bool = False
    beside: bool = False
    module: str = ""
    source: str = ""
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def function(self, semantics: str) -> Callable[..., Any]:
        """What computes it.

        Raises:
            DetKDSError: nothing was attached.
        """
        if semantics not in self.functions:
            raise DetKDSError(f"the {self.slot} {self.name} has no function under semantics {semantics}: import detkds.losses first.")
        return self.functions[semantics]

    def formula_of(self, semantics: str) -> str:
        """The formula under a semantics."""
        return self.released if semantics == "released" and self.released else self.formula


_words: dict[tuple[Knowledge, str, str], Word] = {}


def register(word: Word) -> Word:
    """Add a word behind those of its slot. A plugin's word replaces itself where its cell or module is run again.

    Raises:
        GenomeError: the slot is unknown to one of its knowledges, or has a word of this name already.
    """
    for knowledge in word.knowledges:
        check_word(f"slot of {knowledge}", word.slot, SLOTS_OF[knowledge])
        known = _words.get((knowledge, word.slot, word.name))
        if known and not (word.module and (known.module, known.source) == (word.module, word.source)):
            owner = f"the plugin {known.module}" if known.module else "DetKDS"
            raise GenomeError(f"the {knowledge} {word.slot} {word.name!r} is a word of {owner} already; choose another name.")
    _words.update({(knowledge, word.slot, word.name): word for knowledge in word.knowledges})
    vocabulary.cache_clear()
    return word


def find(knowledge: Knowledge, slot: str, name: str) -> Word:
    """A word.

    Raises:
        GenomeError: the slot has no such word; the message names the nearest.
    """
    if (word := _words.get((knowledge, slot, name))) is None:
        check_word(f"{knowledge} {slot}", name, vocabulary(knowledge)[slot])
        raise AssertionError(name)  # check_word raised
    return word


def all_words() -> tuple[Word, ...]:
    """Every word once, in the order of registration."""
    return tuple(dict.fromkeys(_words.values()))


@functools.cache
def vocabulary(knowledge: Knowledge, space: str = "", semantics: str = "") -> Mapping[str, tuple[str, ...]]:
    """Slot to names, in the order in which a genome text writes the slots.

    Args:
        knowledge: whose words.
        space: only the words that this space offers; empty: all that a genome may use.
        semantics: only those that have a meaning under it; empty: all.
    """
    found: dict[str, list[str]] = {slot: [] for slot in SLOTS_OF[knowledge]}
    for (of, slot, name), word in _words.items():
        if of == knowledge and (not space or space in word.spaces) and (not semantics or semantics in word.semantics):
            found[slot].append(name)
    return {slot: tuple(names) for slot, names in found.items()}


class Slots(Mapping[Knowledge, Mapping[str, tuple[str, ...]]]):
    """Knowledge to slot to all words, those of loaded plugins among them."""

    def __getitem__(self, knowledge: Knowledge) -> Mapping[str, tuple[str, ...]]:
        return vocabulary(knowledge)

    def __iter__(self) -> Iterator[Knowledge]:
        return iter(SLOTS_OF)

    def __len__(self) -> int:
        return len(SLOTS_OF)


SLOTS = Slots()

Function = TypeVar("Function", bound=Callable[..., Any])


def operation(
    name: str, slot: str, knowledges: Sequence[Knowledge] = FEATURES, semantics: Sequence[str] = SEMANTICS
) -> Callable[[Function], Function]:
    """Attach a function to a word of the vocabulary; the decorator of `detkds.losses`."""

    def attach(function: Function) -> Function:
        for knowledge in knowledges:
            find(knowledge, slot, name).functions.update(dict.fromkeys(semantics, function))
        return function

    return attach


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Forget at the end of the block the words that were registered in it: for tests and trials in a notebook."""
    before = dict(_words)
    try:
        yield
    finally:
        _words.clear()
        _words.update(before)
        vocabulary.cache_clear()


def check_word(what: str, word: Any, names: Sequence[str]) -> None:
    """Raise GenomeError with the nearest word unless `word` is one of `names`."""
    if word in names:
        return
    by_lower = {known.lower(): known for known in names}
    near = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[near[0]]}?" if near else f"choose from {', '.join(names)}."
    raise GenomeError(f"unknown {what} {str(word)!r}: {hint}")
