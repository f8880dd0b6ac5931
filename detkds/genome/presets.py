"""Known distillers as recipes, by name: a warm start for the search, and what `train` takes when nothing was searched."""

from __future__ import annotations

import re
from typing import NamedTuple

from detkds.errors import GenomeError
from detkds.genome.genome import check_word, parse_weight
from detkds.genome.recipe import Recipe


class Preset(NamedTuple):
    """A recipe's text, the semantics that gives it meaning, where it is from, what of the published method it leaves out, and the factor of
    its weights that is the published setting; 1 where none carries over."""

    text: str
    semantics: str
    source: str
    left_out: str = ""
    published: float = 1.0


_PRESETS = {
    "fitnets": Preset("global: none > none > none | l2", "paper", "FitNets (Romero et al., 2014): mean squared error of features"),
    # MMRazor's configs by the authors of PKD: 10 for one-stage detectors (6 for two-stage ones), halved squares, summed over 4 levels.
    "pkd": Preset(
        "global: none > none > norm_batch | l2",
        "paper",
        "PKD (Cao et al., 2022): mean squared error of standardised channels",
        published=10 * 0.5 * 4,
    ),
    # MMRazor's configs: 10, a sum over 5 levels of what is a mean over channels here too. The first code has 5 at 4 levels, which is 20.
    "cwd": Preset(
        "global: none > none > none | kl", "paper", "CWD (Shu et al., 2021): KL of each channel's softmax over positions", published=10 * 5
    ),
    "skd": Preset("global: none > none > none | ssim", "paper", "SKD (de Rijk et al., 2022): structural similarity of features"),
    "defeat": Preset(
        "fgbg: even > none > none | l2 bg 4",
        "paper",
        "DeFeat (Guo et al., 2021): squared error of foreground and background apart; the authors' config has background count 4 times",
        "the classification loss on proposals, positive and negative ones apart",
    ),
    "fgd": Preset(
        """
        global: smap > none > softmax | l1
        global: cmap > none > softmax | l1
        global: gcblock > none > none | l2
        fgbg: tatt > none > none | l2
        """,
        "paper",
        "FGD (Yang et al., 2022): focal part, squared error weighed by the teacher's attention; l1 of the attention masks; and the global "
        "relation, squared error behind a trained global context block on either side",
    ),
    "fkd": Preset(
        """
        global: jatt > none > none | l2
        global: smap > none > none | l2
        global: cmap > none > none | l2
        global: nonlocal > none > none | l2
        """,
        "paper",
        "FKD (Zhang & Ma, 2021): squared error weighed by the attention of both sides, of the attention maps, and behind a trained "
        "non-local block on either side",
        "the roots of the squared errors, whose gradient is infinite at 0",
    ),
    "gid": Preset(
        "instance: general > none > none | l2",
        "paper",
        "GID (Dai et al., 2021): squared error of the features of the 10 places per image where both sides disagree most",
        "the relation between instances, and the responses at them; crops are 7x7 instead of 10x10",
    ),
    "frs": Preset(
        """
        global: score > none > none | l2
        logits: score | bce
        """,
        "paper",
        "FRS (Du et al., 2021): features and class scores weighed by the teacher's best score at each place",
        "two-stage detectors, whose region proposal network's scores are not read",
    ),
    "ld": Preset(
        "localization: none | kl",
        "paper",
        "LD (Zheng et al., 2022): KL of the distributions over the bins of a box's sides, temperature 10",
        "the valuable localization region; cells count by the teacher's score instead of the label assignment",
    ),
    "mgd": Preset(
        "global: generate > none > none | l2",
        "paper",
        "MGD (Yang et al., 2022): squared error of features that a trained adapter makes of the student's masked ones",
    ),
    # Published for RetinaNet and ATSS: both weights 1, of sums over the number of positives.
    "crosskd": Preset(
        """
        logits: cross | qfl
        localization: cross | giou
        """,
        "paper",
        "CrossKD (Wang et al., 2024): the teacher's head predicts from the student's head features what it predicts from its own",
        "the KL of the bins of GFL; IoU instead of GIoU, and the last two convolutions of a tower, of FCOS; scores count with centerness",
    ),
    # The distance of the instance line is illegible in our copy; pearson is what the authors' published config has there, and the two
    # agree in the line's other slots.
    "detkds-two-stage": Preset(
        """
        global: catt > scale_2 > norm_N | l1
        fgbg: catt > none > norm_C | smooth_l1
        instance: mask > none > norm_C | pearson
        logits: softmax_C | pearson
        localization: sigmoid | ciou
        """,
        "paper",
        "DetKDS, Table 5, two-stage detectors",
    ),
    "detkds-one-stage": Preset(
        """
        global: catt > scale_2 > norm_N | l1
        fgbg: none > local_4 > norm_HW | l1
        instance: catt > none > norm_C | smooth_l1
        logits: norm_batch | pearson
        localization: sigmoid | ciou
        """,
        "paper",
        "DetKDS, Table 5, one-stage detectors",
    ),
    "detkds-anchor-free": Preset(
        """
        global: catt > scale_2 > norm_N | l1
        fgbg: mask > none > norm_C | l1
        instance: satt > scale_4 > norm_N | l1
        logits: norm_batch | l2
        localization: sigmoid | eiou
        """,
        "paper",
        "DetKDS, Table 5, anchor-free detectors",
    ),
    # The published loss compares foregrounds by l1 whatever distance the config names, so l1 stands here.
    "released-faster-rcnn": Preset(
        """
        global: catt > scale_2 > norm_N | l1 x 2
        fgbg: mask > none > norm_C | l1 x 2
        instance: mask > none > norm_C | pearson x 0.1
        logits: softmax_C | pearson x 0.1
        """,
        "released",
        "the authors' published config, Faster R-CNN R101 to R50",
    ),
    "released-retinanet": Preset(
        """
        global: catt > scale_2 > norm_N | l1 x 6
        fgbg: none > local_4 > norm_HW | l1 x 2
        """,
        "released",
        "the authors' published config, RetinaNet R101 to R50",
    ),
    "released-fcos": Preset(
        """
        global: catt > scale_2 > norm_N | l1 x 5
        fgbg: mask > none > norm_C | l1 x 2
        """,
        "released",
        "the authors' published config, FCOS R101 to R50",
    ),
    "released-gfl": Preset("global: catt > scale_2 > norm_N | l1 x 10", "released", "the authors' published config, GFL R101 to R50"),
}
"""Weights in a text are 1, but for those of the authors' configs, which are published in the same means. Of the others PKD's and CWD's
carry over; DeFeat, FGD, FKD, FRS, MGD and LD sum over cells, so what their weights are here depends on the size of the images; Table 5
prints none, FitNets has none for detectors, and those of GID and SKD were not checked."""

KNOWN_DISTILLERS = ("fitnets", "pkd x 1", "pkd", "cwd x 1", "cwd")
"""What a search has to beat. With few labels the published weights are often the better ones, with many those of weight 1, so both run."""

ABSENT = {
    "diffkd": "DiffKD denoises the student's features with a diffusion model that losses of its own train",
    "maskd": "MasKD compares features under masks that are learned on the teacher beforehand",
}
"""Methods that no genome can express, and why: they need modules that another loss than the genome's distance trains."""

_SCALED = re.compile(r"([A-Za-z][A-Za-z0-9-]*) +x +(\S+)")


def names() -> tuple[str, ...]:
    """Every preset's name, the older distillers first."""
    return tuple(_PRESETS)


def is_preset(text: str) -> bool:
    """Whether a text is for `preset` to read: the name of one, or any word with a factor, `NAME x FACTOR`."""
    return text in _PRESETS or _SCALED.fullmatch(text) is not None


def preset(text: str) -> Recipe:
    """A known recipe, with the semantics it was made for.

    Args:
        text: the name of a preset, which has its published weights where these carry over, or `NAME x FACTOR`, which has instead all
            weights of its text (1 each, but for the authors' configs) times the factor: `pkd` is `pkd x 20`.

    Raises:
        GenomeError: the preset does not exist (the message names the nearest), or the factor is not a number above 0 or makes a weight
            too large.
    """
    scaled = _SCALED.fullmatch(text)
    found = _find(scaled[1] if scaled else text)
    recipe = Recipe.parse(found.text, found.semantics)
    factor = _factor(scaled[2], text) if scaled else found.published
    return recipe.with_weights(factor * genome.weight for genome in recipe.genomes)


def parse_recipe(text: str, semantics: str) -> Recipe:
    """A recipe from a preset, `NAME` or `NAME x FACTOR`, or from genome text; empty text is no distillation.

    Raises:
        GenomeError: the text is neither.
    """
    name = text.strip()
    is_word = bool(name) and not set(name) & set(":>|") and name != "no distillation"  # a preset was meant: a wrong one has a near one
    return preset(name) if is_word or is_preset(name) else Recipe.parse(text, semantics)


def _factor(value: str, text: str) -> float:
    factor = parse_weight(value, text)
    if not factor > 0:
        raise GenomeError(f"the factor of a preset is above 0, got {value} in {text!r}; leave the preset out instead.")
    return factor


def left_out(name: str) -> str:
    """What of the published method a preset leaves out; empty where nothing is.

    Raises:
        GenomeError: no such preset.
    """
    return _find(name).left_out


def published(name: str) -> float:
    """The factor of `NAME x FACTOR` that a preset's name alone stands for.

    Raises:
        GenomeError: no such preset.
    """
    return _find(name).published


def source(name: str) -> str:
    """One line: where a preset is from.

    Raises:
        GenomeError: no such preset.
    """
    return _find(name).source


def _find(name: str) -> Preset:
    if name.lower() in ABSENT:
        raise GenomeError(f"there is no preset {name}: {ABSENT[name.lower()]}; choose from {', '.join(_PRESETS)}.")
    check_word("preset", name, names())
    return _PRESETS[name]


def readable(semantics: str, searched: str) -> bool:
    """Whether losses of one semantics can be read under that of a search: `sound` has all words of `paper`."""
    return semantics == searched or (semantics, searched) == ("paper", "sound")
