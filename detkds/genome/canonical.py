"""Canonical form: genomes whose losses are equal, or equal up to a positive factor, become one genome with a rescaled weight.

Only rules that can be proved are here (SEMANTICS, "Canonical equalities"); the numeric signature on a probe batch finds the rest. The
rules read what the words declare (`words.Fold`), so that they hold for a plugin's words as far as those declare it.
"""

from __future__ import annotations

from detkds.genome.genome import MAX_WEIGHT, Genome
from detkds.genome.vocabulary import NONE, Knowledge
from detkds.genome.words import Fold, Role


def canonical(genome: Genome, semantics: str = "paper") -> Genome:
    """The representative of all genomes that train alike.

    Args:
        genome: any genome.
        semantics: "paper", "released" or "sound"; under the last two only the empty scales fold.

    Returns:
        A genome that is its own canonical form.
    """
    genome = _fold_unit(genome)
    if not genome.knowledge.is_feature:
        return _fold_unread_transform(_fold_reshape(genome)) if semantics == "paper" else genome
    genome = _fold_identity(genome)
    if semantics != "paper":
        return genome
    for rule in (_fold_weighting, _fold_standardised_l2, _fold_local):
        genome = rule(genome)
    return genome


def _has(genome: Genome, slot: str, fold: Fold) -> bool:
    return fold in genome.word(slot).folds


def _fold_unit(genome: Genome) -> Genome:
    """The loss is multiplied by weight and unit. A product that is not a weight stays as it is."""
    return genome.with_weight(genome.factor).with_unit(1) if genome.factor <= MAX_WEIGHT else genome


def _fold_identity(genome: Genome) -> Genome:
    """scale_1 and local_1 are identities."""
    return genome.with_slot("scale", NONE) if _has(genome, "scale", Fold.IDENTITY) else genome


def _fold_standardised_l2(genome: Genome) -> Genome:
    """The mean squared error of two standardised maps is 2 (1 - correlation): l2 x w becomes pearson x 2w. Not for fgbg, whose l2 is
    averaged over the region, nor under score or a plugin's instances, which weigh positions, and not for patches, whose padding the l2
    leaves out. A weight of which the double is not a weight stays: no pearson genome equals it."""
    slots, attention = genome.slots, genome.word("attention")
    weighed = attention.role is Role.SCORES or (attention.role is Role.INSTANCES and attention.module)
    whole = genome.knowledge is not Knowledge.FGBG and not weighed and not _has(genome, "scale", Fold.PATCHES)
    if slots["norm"] == "norm_HW" and slots["distance"] == "l2" and whole and 2 * genome.weight <= MAX_WEIGHT:
        return genome.with_slot("norm", NONE).with_slot("distance", "pearson").with_weight(2 * genome.weight)
    return genome


def _fold_local(genome: Genome) -> Genome:
    """Patches change nothing for a distance at each position, unless the norm reduces over positions or samples."""
    apart = _has(genome, "norm", Fold.BY_POSITION) and _has(genome, "distance", Fold.BY_POSITION)
    return genome.with_slot("scale", NONE) if _has(genome, "scale", Fold.PATCHES) and apart else genome


def _fold_reshape(genome: Genome) -> Genome:
    """Reordering the entries changes nothing for a distance that compares entry by entry."""
    unseen = _has(genome, "transform", Fold.REORDERS) and _has(genome, "distance", Fold.BY_ENTRY)
    return genome.with_slot("transform", NONE) if unseen else genome


def _fold_weighting(genome: Genome) -> Genome:
    """score and even only weigh positions, which kl, pearson and ssim, reducing over positions themselves, do not look at."""
    unread = _has(genome, "attention", Fold.WEIGHS_ONLY) and _has(genome, "distance", Fold.IGNORES_WEIGHTS)
    return genome.with_slot("attention", NONE) if unread else genome


def _fold_unread_transform(genome: Genome) -> Genome:
    """Transforms of sides say nothing where bins are compared, nor weights of cells under cor, which correlates over all of them."""
    crossed = genome.word("transform").role is Role.CROSSED
    bins = genome.knowledge is Knowledge.LOCALIZATION and genome.distance == "kl" and not crossed
    unread = bins or (_has(genome, "transform", Fold.WEIGHS_ONLY) and _has(genome, "distance", Fold.IGNORES_WEIGHTS))
    return genome.with_slot("transform", NONE) if unread else genome
