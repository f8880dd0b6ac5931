"""Canonical form: genomes whose losses are equal, or equal up to a positive factor, become one genome with a rescaled weight.

Only rules that can be proved are here (SEMANTICS, "Canonical equalities"); the numeric signature on a probe batch finds the rest.
"""

from __future__ import annotations

from detkds.genome.genome import MAX_WEIGHT, Genome
from detkds.genome.vocabulary import NONE, Knowledge

_ELEMENTWISE = ("l1", "l2", "smooth_l1", "cosine")
"""Distances with a value at each position, so moving patches to the batch changes nothing."""

_BY_ENTRY = ("l1", "l2", "smooth_l1", "bce")
"""Distances of logits that compare entry by entry."""


def canonical(genome: Genome, semantics: str = "paper") -> Genome:
    """The representative of all genomes that train alike.

    Args:
        genome: any genome.
        semantics: "paper" or "released"; under "released" only the empty scales fold.

    Returns:
        A genome that is its own canonical form.
    """
    if not genome.knowledge.is_feature:
        return _fold_unread_transform(_fold_reshape(genome)) if semantics == "paper" else genome
    genome = _fold_unit_scale(genome)
    if semantics != "paper":
        return genome
    for rule in (_fold_catt, _fold_satt, _fold_weighting, _fold_standardised_l2, _fold_norm_under_pearson, _fold_local, _fold_satt):
        genome = rule(genome)
    return genome


def _fold_unit_scale(genome: Genome) -> Genome:
    """scale_1 and local_1 are identities."""
    return genome.with_slot("scale", NONE) if genome.slots["scale"] in ("scale_1", "local_1") else genome


def _fold_catt(genome: Genome) -> Genome:
    """catt multiplies a channel by one positive number: nothing is left of it where channels are standardised over HW, stretched to
    [0, 1] each, or correlated over HW. Max pooling and patches commute with the factor."""
    slots = genome.slots
    channelwise = slots["norm"] in ("norm_HW", "norm_minmax") or (slots["norm"] == NONE and slots["distance"] == "pearson")
    return genome.with_slot("attention", NONE) if slots["attention"] == "catt" and channelwise else genome


def _fold_satt(genome: Genome) -> Genome:
    """satt multiplies a position by one positive number: nothing is left of it where each position is standardised over C or where
    the angle over C is compared. Max pooling over positions does not commute, patches do."""
    slots = genome.slots
    positionwise = slots["norm"] == "norm_C" or (slots["norm"] == NONE and slots["distance"] == "cosine")
    pooled = slots["scale"].startswith("scale_")
    return genome.with_slot("attention", NONE) if slots["attention"] == "satt" and positionwise and not pooled else genome


def _fold_standardised_l2(genome: Genome) -> Genome:
    """The mean squared error of two standardised maps is 2 (1 - correlation): l2 x w becomes pearson x 2w. Not for fgbg, whose l2 is
    averaged over the region, nor under score, which averages by scores, and not for patches, whose padding the l2 leaves out. A weight of
    which the double is no weight stays: no pearson genome equals it."""
    slots = genome.slots
    even = genome.knowledge is not Knowledge.FGBG and slots["attention"] != "score"
    whole = even and not slots["scale"].startswith("local_")
    if slots["norm"] == "norm_HW" and slots["distance"] == "l2" and whole and 2 * genome.weight <= MAX_WEIGHT:
        return genome.with_slot("distance", "pearson").with_weight(2 * genome.weight)
    return genome


def _fold_norm_under_pearson(genome: Genome) -> Genome:
    """Correlation over HW does not change under a positive affine map of each channel."""
    slots = genome.slots
    if slots["norm"] in ("norm_HW", "norm_minmax") and slots["distance"] == "pearson":
        return genome.with_slot("norm", NONE)
    return genome


def _fold_local(genome: Genome) -> Genome:
    """Patches change nothing for a distance at each position, unless the norm reduces over positions or samples."""
    slots = genome.slots
    local = slots["scale"].startswith("local_")
    if local and slots["norm"] in (NONE, "norm_C") and slots["distance"] in _ELEMENTWISE:
        return genome.with_slot("scale", NONE)
    return genome


def _fold_reshape(genome: Genome) -> Genome:
    """Reordering the entries changes nothing for a distance that compares entry by entry."""
    slots = genome.slots
    reshaped = slots["transform"] in ("reshape_N", "reshape_C")
    return genome.with_slot("transform", NONE) if reshaped and slots["distance"] in _BY_ENTRY else genome


def _fold_weighting(genome: Genome) -> Genome:
    """score and even only weigh positions, which kl, pearson and ssim, reducing over positions themselves, do not look at."""
    slots = genome.slots
    unread = slots["attention"] in ("score", "even") and slots["distance"] not in _ELEMENTWISE
    return genome.with_slot("attention", NONE) if unread else genome


def _fold_unread_transform(genome: Genome) -> Genome:
    """Transforms of sides say nothing where bins are compared, nor weights of cells under cor, which correlates over all of them."""
    slots = genome.slots
    bins = genome.knowledge is Knowledge.LOCALIZATION and slots["distance"] == "kl"
    unread = bins or (slots["transform"] == "score" and slots["distance"] == "cor")
    return genome.with_slot("transform", NONE) if unread else genome
