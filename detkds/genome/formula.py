"""A genome as mathematics, for people: what `detkds.losses` computes; the tests hold the constants of both together. Imports no torch.

Formulas are prose with mathematics between dollar signs, in the part of TeX that `detkds.genome.mathematics` reads.
"""

from __future__ import annotations

from detkds.genome.genome import Genome, check_word, format_weight
from detkds.genome.mathematics import plain_prose
from detkds.genome.vocabulary import BACKGROUND, NONE, SEMANTICS, Knowledge

_STANDARDISED = r"$\frac{{f - \mu}}{{\sqrt{{\sigma^2 + \varepsilon}}}}$ over {axis}"
_LENGTH = r"$\frac{{f}}{{\lVert f \rVert_2}}$ over {axis}"
_STRETCHED = r"$\frac{{f - \min f}}{{\sqrt{{(\max f - \min f)^2 + \varepsilon}}}}$ over {axis}"
_MASK = r"$f \cdot M$, where $M = 0$ for $r < \lambda$ and else 1, $\lambda = 0.65$, "

_OF_POSITIONS = r"HW \cdot \operatorname{softmax}_{HW}(\frac{%s}{\tau})"
_OF_CHANNELS = r"C \cdot \operatorname{softmax}_C(\frac{%s}{\tau})"
_SPATIAL = _OF_POSITIONS % r"\operatorname{mean}_C \lvert f \rvert"
_CHANNEL = _OF_CHANNELS % r"\operatorname{mean}_{HW} \lvert f \rvert"
_TEACHER = r"\operatorname{mean}_{%s} \lvert f_t \rvert"
_BOTH = r"\operatorname{mean}_{%s} \lvert f_s \rvert + \operatorname{mean}_{%s} \lvert f_t \rvert"
_FOCUS = rf"$f \cdot \sqrt{{A_H \cdot A_C}}$ on either side, $A_H = {_OF_POSITIONS}$, $A_C = {_OF_CHANNELS}$, $\tau = 0.5$"
_SCORED = "$f$, of which a position counts as much as the teacher's best class score there"

_SHARED = {
    "tatt": _FOCUS % (_TEACHER % "C", _TEACHER % "HW"),
    "jatt": _FOCUS % (_BOTH % ("C", "C"), _BOTH % ("HW", "HW")) + ", without gradient",
    "score": _SCORED,
    "smap": r"$\operatorname{mean}_C \lvert f \rvert$",
    "cmap": r"$\operatorname{mean}_{HW} \lvert f \rvert$ at every position",
    "generate": r"two trained convolutions of $f \cdot M$ for the student, $M$ hiding a share $\lambda = 0.65$ of the positions; "
    "$f$ for the teacher",
    "even": "$f$, of which all positions of a region count the same",
    "general": "$f$ at the 10 places of an image where student and teacher disagree most, instead of the boxes",
    "softmax": r"$CHW \cdot \operatorname{softmax}_{CHW}(\frac{f}{\tau})$, $\tau = 0.5$",
    "norm_batch": _STANDARDISED.format(axis="$N, H, W$, for each channel"),
    "reshape_N": r"one row an image: $(N, K \cdot H \cdot W)$",
    "reshape_C": r"one row a class: $(K, N \cdot H \cdot W)$",
    "softmax_N": "softmax over the batch",
    "softmax_C": "softmax over the classes, or the four sides",
    "pow2": r"$f \cdot \lvert f \rvert$",
    "sigmoid": r"$\frac{1}{1 + e^{-f}}$",
}
_TRANSFORMS = {
    "paper": {
        **_SHARED,
        "satt": rf"$f \cdot {_SPATIAL}$, $\tau = 0.5$",
        "catt": rf"$f \cdot {_CHANNEL}$, $\tau = 0.5$",
        "mask": _MASK + "one random $r$ a position for both",
        "scale_2": r"$2 \times 2$ max pooling",
        "scale_4": r"$4 \times 4$ max pooling",
        "local_2": r"$2 \times 2$ grid of patches, each a sample",
        "local_4": r"$4 \times 4$ grid of patches, each a sample",
        "norm_HW": _STANDARDISED.format(axis="$H, W$"),
        "norm_C": _STANDARDISED.format(axis="$C$"),
        "norm_N": _STANDARDISED.format(axis="$N$") + r"; $\frac{f}{\sqrt{\operatorname{mean} f^2 + \varepsilon}}$ where $N < 4$",
        "norm_minmax": _STRETCHED.format(axis="$H, W$"),
    },
    "released": {
        **_SHARED,
        "satt": rf"$f \cdot \sqrt{{{_SPATIAL}}}$, $\tau = 0.5$",
        "catt": rf"$f \cdot \sqrt{{{_CHANNEL}}}$, $\tau = 0.5$",
        "mask": _MASK + "random $r$ of its own for student and teacher",
        "scale_2": r"$2 \times 2$ max pooling after zero padding",
        "scale_4": r"$4 \times 4$ max pooling after zero padding",
        "local_2": r"tiles of $2 \times 2$ cells, each a channel",
        "local_4": r"tiles of $4 \times 4$ cells, each a channel",
        "norm_HW": _LENGTH.format(axis="$H, W$"),
        "norm_C": _LENGTH.format(axis="$C$"),
        "norm_N": _LENGTH.format(axis="$N$"),
        "norm_minmax": _STRETCHED.format(axis="the whole level"),
    },
}
"""What a transform makes of f; scale_1 and local_1 do nothing and are left out."""

_POINTWISE = {
    "l1": r"mean of $\lvert s - t \rvert$",
    "l2": r"mean of $(s - t)^2$",
    "smooth_l1": r"mean of $\frac{1}{2} (s - t)^2$ where $\lvert s - t \rvert < 1$, else $\lvert s - t \rvert - \frac{1}{2}$",
}
_KL = (
    r"$\tau^2 \cdot \operatorname{KL}(\operatorname{softmax}(\frac{t}{\tau}) \parallel \operatorname{softmax}(\frac{s}{\tau}))$ "
    r"over %s, $\tau = %g$"
)
_MAPS = {
    **_POINTWISE,
    "kl": _KL % ("$H, W$", 1),
    "cosine": r"$1 - \cos(s, t)$ over $C$",
    "pearson": r"$1 - \operatorname{corr}(s, t)$ over $H, W$",
    "ssim": r"$\frac{1 - \operatorname{SSIM}(s, t)}{2}$, $11 \times 11$ Gaussian window",
}
_CLASSES = {
    **_POINTWISE,
    "kl": _KL % ("classes", 1),
    "cosine": r"$1 - \cos(s, t)$ over classes",
    "pearson": r"$1 - \operatorname{corr}(s, t)$ over classes",
    "bce": r"mean of $t \log(\frac{t}{s}) + (1 - t) \log(\frac{1 - t}{1 - s})$",
    "cor": r"$\log_2(\varepsilon + \sum \lvert v - 1 \rvert^{2 \alpha})$, $v = \operatorname{corr}(s, t)$ of each class over all cells, "
    r"$\alpha = 1.01$",
}
_CENTRES = r"1 - \mathrm{IoU} + \frac{\rho^2}{c^2}"
_BOXES = {
    "kl": _KL % ("the bins of each side, as they are before any transform", 10),
    "iou": r"$1 - \mathrm{IoU}$",
    "giou": r"$1 - \mathrm{IoU} + \frac{c - u}{c}$, $u$ the area of the union, $c$ of the enclosing box",
    "diou": rf"${_CENTRES}$, $\rho$ the centres' distance, $c$ the enclosing diagonal",
    "ciou": rf"${_CENTRES} + \alpha v$, "
    r"$v = \frac{4}{\pi^2} (\arctan(\frac{w_t}{h_t}) - \arctan(\frac{w_s}{h_s}))^2$, $\alpha = \frac{v}{1 - \mathrm{IoU} + v}$",
    "eiou": rf"${_CENTRES} + \frac{{(w_s - w_t)^2}}{{w_c^2}} + \frac{{(h_s - h_t)^2}}{{h_c^2}}$",
}

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
    return "\n".join(map(plain_prose, tex(genome, semantics)))


def tex(genome: Genome, semantics: str = "paper") -> tuple[str, ...]:
    """The lines of `formula` as TeX: prose with mathematics between dollar signs.

    Raises:
        GenomeError: unknown semantics.
    """
    check_word("semantics", semantics, SEMANTICS)
    words = [word for word in genome.transforms if word not in (NONE, "scale_1", "local_1")]
    chain = "f"
    for word in words:
        chain = rf"{_name(word)}({chain})"
    loss = rf"L_{{\text{{{genome.knowledge}}}}} = {format_weight(genome.weight)} \cdot "
    background = r"\frac{1}{2}" if genome.background == BACKGROUND else rf"{format_weight(genome.background)} \cdot"
    inputs = _INPUTS[semantics][genome.knowledge].replace("BACKGROUND", background).removeprefix("$")
    steps = [f"${_name(word)}(f) =$ {_TRANSFORMS[semantics][word]}" for word in words]
    source = f"$s = {chain}$ of the student, $t$ of the teacher"
    return (f"${loss}{inputs}", source, *steps, f"$D =$ {_distance(genome, semantics)}")


def _name(word: str) -> str:
    """A word of a genome as an upright name with its index: norm_HW, scale_2."""
    name, _, index = word.partition("_")
    return rf"\operatorname{{{name}}}_{{\text{{{index}}}}}" if index else rf"\operatorname{{{name}}}"


def _distance(genome: Genome, semantics: str) -> str:
    if genome.knowledge is Knowledge.LOCALIZATION:
        return _BOXES[genome.distance]
    if genome.knowledge is Knowledge.LOGITS:
        return _CLASSES[genome.distance]
    over_channels = semantics == "released" and genome.distance == "pearson"
    return r"$1 - \operatorname{corr}(s, t)$ over $C$" if over_channels else _MAPS[genome.distance]
