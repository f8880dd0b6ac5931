"""A genome as mathematics in plain text, for people: the report shows it beside the genome's own text. Imports no torch.

What is printed here is what `detkds.losses` computes; the tests hold the constants of both together.
"""

from __future__ import annotations

from detkds.genome.genome import Genome, check_word, format_weight
from detkds.genome.vocabulary import NONE, SEMANTICS, Knowledge

_STANDARDISED = "(f − μ) / √(σ² + ε) over {axis}"
_LENGTH = "f / ‖f‖₂ over {axis}"

_SHARED = {
    "norm_batch": _STANDARDISED.format(axis="N, H, W, for each channel"),
    "reshape_N": "one row an image: (N, K·H·W)",
    "reshape_C": "one row a class: (K, N·H·W)",
    "softmax_N": "softmax over the batch",
    "softmax_C": "softmax over the classes, or the four sides",
    "pow2": "f · |f|",
    "sigmoid": "1 / (1 + exp(−f))",
}
_TRANSFORMS = {
    "paper": {
        **_SHARED,
        "satt": "f · H·W · softmax over H, W of (mean over C of |f|) / τ, τ = 0.5",
        "catt": "f · C · softmax over C of (mean over H, W of |f|) / τ, τ = 0.5",
        "mask": "f · M, M = 0 where r < λ and else 1, λ = 0.65, one random r a position for both",
        "scale_2": "2×2 max pooling",
        "scale_4": "4×4 max pooling",
        "local_2": "2×2 grid of patches, each a sample",
        "local_4": "4×4 grid of patches, each a sample",
        "norm_HW": _STANDARDISED.format(axis="H, W"),
        "norm_C": _STANDARDISED.format(axis="C"),
        "norm_N": _STANDARDISED.format(axis="N") + "; f / √(mean f² + ε) where N < 4",
        "norm_minmax": "(f − min f) / √((max f − min f)² + ε) over H, W",
    },
    "released": {
        **_SHARED,
        "satt": "f · √(H·W · softmax over H, W of (mean over C of |f|) / τ), τ = 0.5",
        "catt": "f · √(C · softmax over C of (mean over H, W of |f|) / τ), τ = 0.5",
        "mask": "f · M, M = 0 where r < λ and else 1, λ = 0.65, random r of its own for S and T",
        "scale_2": "2×2 max pooling after zero padding",
        "scale_4": "4×4 max pooling after zero padding",
        "local_2": "tiles of 2×2 cells, each a channel",
        "local_4": "tiles of 4×4 cells, each a channel",
        "norm_HW": _LENGTH.format(axis="H, W"),
        "norm_C": _LENGTH.format(axis="C"),
        "norm_N": _LENGTH.format(axis="N"),
        "norm_minmax": "(f − min f) / √((max f − min f)² + ε) over the whole level",
    },
}
"""What a transform makes of f; scale_1 and local_1 do nothing and are left out."""

_POINTWISE = {"l1": "mean |s − t|", "l2": "mean (s − t)²", "smooth_l1": "mean of ½ (s − t)² where |s − t| < 1, else |s − t| − ½"}
_MAPS = {
    **_POINTWISE,
    "kl": "τ² · KL(softmax(t / τ) ‖ softmax(s / τ)) over H, W, τ = 1",
    "cosine": "1 − cos(s, t) over C",
    "pearson": "1 − corr(s, t) over H, W",
    "ssim": "(1 − SSIM(s, t)) / 2, 11×11 Gaussian window",
}
_CLASSES = {
    **_POINTWISE,
    "kl": "τ² · KL(softmax(t / τ) ‖ softmax(s / τ)) over classes, τ = 1",
    "cosine": "1 − cos(s, t) over classes",
    "pearson": "1 − corr(s, t) over classes",
    "cor": "log₂(ε + Σ |v − 1|²ᵅ), v = corr(s, t) of each class over all cells, α = 1.01",
}
_BOXES = {
    "iou": "1 − IoU",
    "giou": "1 − IoU + (c − u) / c, u the union's area, c the enclosing box's",
    "diou": "1 − IoU + ρ² / c², ρ the centres' distance, c the enclosing diagonal",
    "ciou": "1 − IoU + ρ² / c² + αv, v = 4/π² (atan w_t/h_t − atan w_s/h_s)², α = v / (1 − IoU + v)",
    "eiou": "1 − IoU + ρ² / c² + (w_s − w_t)² / w_c² + (h_s − h_t)² / h_c²",
}

_INPUTS = {
    "paper": {
        Knowledge.GLOBAL: "D(s, t) on whole neck levels, mean over levels",
        Knowledge.FGBG: "[D(s, t) on foreground + ½ D(s, t) on background], mean over levels",
        Knowledge.INSTANCE: "D(s, t) on 7×7 crops of the boxes",
        Knowledge.LOGITS: "D(s, t) on class scores, mean over levels",
        Knowledge.LOCALIZATION: "D(s, t) on box sides, weighted by the teacher's scores, mean over levels",
    },
    "released": {
        Knowledge.GLOBAL: "D(s, t) on whole neck levels, sum over levels",
        Knowledge.FGBG: "[D(s, t) on foreground + ½ D(s, t) on background], both multiplied by their weights, sum over levels",
        Knowledge.INSTANCE: "D(s, t) on 14×14 crops of the boxes, sum over levels",
        Knowledge.LOGITS: "D(s, t) on class scores, sum over levels",
        Knowledge.LOCALIZATION: "D(s, t) on box sides, weighted by the teacher's scores, sum over levels",
    },
}


def formula(genome: Genome, semantics: str = "paper") -> str:
    """The loss in a few lines of plain text: the loss, what its inputs go through, the distance.

    Args:
        genome: any genome.
        semantics: "paper" or "released", which gives the words meaning.

    Returns:
        Lines joined by newlines, without markup: escape it where it goes into HTML.

    Raises:
        GenomeError: unknown semantics.
    """
    check_word("semantics", semantics, SEMANTICS)
    words = [word for word in genome.transforms if word not in (NONE, "scale_1", "local_1")]
    chain = "f"
    for word in words:
        chain = f"{word}({chain})"
    loss = f"L_{genome.knowledge} = {format_weight(genome.weight)} · {_INPUTS[semantics][genome.knowledge]}"
    steps = [f"{word}(f) = {_TRANSFORMS[semantics][word]}" for word in words]
    return "\n".join([loss, f"s = {chain} of the student, t of the teacher", *steps, f"D = {_distance(genome, semantics)}"])


def _distance(genome: Genome, semantics: str) -> str:
    if genome.knowledge is Knowledge.LOCALIZATION:
        return _BOXES[genome.distance]
    if genome.knowledge is Knowledge.LOGITS:
        return _CLASSES[genome.distance]
    over_channels = semantics == "released" and genome.distance == "pearson"
    return "1 − corr(s, t) over C" if over_channels else _MAPS[genome.distance]
