"""A genome as mathematics, for people: what `detkds.losses` computes; the tests hold the constants of both together. Imports no torch.

Formulas are prose with TeX between dollar signs: those of words come from the registry, those of knowledges are here.
"""

from __future__ import annotations

from detkds.genome.genome import Genome, check_word, format_weight
from detkds.genome.mathematics import plain_prose
from detkds.genome.vocabulary import BACKGROUND, NONE, SEMANTICS, Knowledge
from detkds.genome.words import Fold

_INPUTS = {
    "paper": {
        Knowledge.GLOBAL: "$D(s, t)$ on whole neck levels, mean over levels",
        Knowledge.FGBG: r"$(D_{\text{fg}}(s, t) + BACKGROUND D_{\text{bg}}(s, t))$ on foreground and background, mean over levels",
        Knowledge.INSTANCE: r"$D(s, t)$ on $7 \times 7$ crops of the boxes",
        Knowledge.LOGITS: "$D(s, t)$ on class scores, mean over levels",
        Knowledge.LOCALIZATION: "$D(s, t)$ on box sides, weighted by the teacher's scores, mean over levels",
    },
    "released": {
        Knowledge.GLOBAL: "$D(s, t)$ on whole neck levels, sum over levels",
        Knowledge.FGBG: r"$(D_{\text{fg}}(s, t) + BACKGROUND D_{\text{bg}}(s, t))$ on foreground and background, "
        "both multiplied by their weights, sum over levels",
        Knowledge.INSTANCE: r"$D(s, t)$ on $14 \times 14$ crops of the boxes, sum over levels",
        Knowledge.LOGITS: "$D(s, t)$ on class scores, sum over levels",
        Knowledge.LOCALIZATION: "$D(s, t)$ on box sides, weighted by the teacher's scores, sum over levels",
    },
}
_INPUTS["sound"] = _INPUTS["paper"] | {
    Knowledge.LOGITS: "$D(s, t)$ on class scores of all levels together",
    Knowledge.LOCALIZATION: "$D(s, t)$ on box sides of all levels together, weighted by the teacher's scores",
}


def formula(genome: Genome, semantics: str = "paper") -> str:
    """The loss in a few lines of plain text: the loss, what its inputs go through, the distance.

    Args:
        genome: any genome.
        semantics: "paper", "released" or "sound", which gives the words meaning.

    Returns:
        Lines joined by newlines, without markup: escape it where it goes into HTML.

    Raises:
        GenomeError: unknown semantics.
    """
    return "\n".join(map(plain_prose, tex(genome, semantics)))


def tex(genome: Genome, semantics: str = "paper") -> tuple[str, ...]:
    """The lines of `formula` as TeX: prose with mathematics between dollar signs.

    Raises:
        GenomeError: unknown semantics.
    """
    check_word("semantics", semantics, SEMANTICS)
    words = [genome.word(slot) for slot, name in genome.slots.items() if slot != "distance" and name != NONE]
    words = [word for word in words if Fold.IDENTITY not in word.folds]
    chain = "f"
    for word in words:
        chain = rf"{_name(word.name)}({chain})"
    unit = "" if genome.unit == 1 else rf"{format_weight(genome.unit)} \cdot "
    loss = rf"L_{{\text{{{genome.knowledge}}}}} = {format_weight(genome.weight)} \cdot {unit}"
    background = r"\frac{1}{2}" if genome.background == BACKGROUND else rf"{format_weight(genome.background)} \cdot"
    inputs = _INPUTS[semantics][genome.knowledge].replace("BACKGROUND", background).removeprefix("$")
    steps = [f"${_name(word.name)}(f) =$ {word.formula_of(semantics)}" for word in words]
    source = f"$s = {chain}$ of the student, $t$ of the teacher"
    return (f"${loss}{inputs}", source, *steps, f"$D =$ {genome.word('distance').formula_of(semantics)}")


def _name(word: str) -> str:
    """A word of a genome as an upright name with its index: norm_HW, scale_2."""
    name, _, index = word.partition("_")
    return rf"\text{{{name}}}_{{\text{{{index}}}}}" if index else rf"\text{{{name}}}"
