"""The words of the project: those of Tables 2 and 5 of the paper, then those of other known methods, each with its formula.

The order of the rows is that of the search spaces, so a new word comes last in its slot. Its function joins it in `detkds.losses`.
"""

from __future__ import annotations

from detkds.genome.knowledge import FEATURES as FEATURES
from detkds.genome.knowledge import Knowledge as Knowledge
from detkds.genome.words import NONE as NONE
from detkds.genome.words import SEMANTICS as SEMANTICS
from detkds.genome.words import SLOTS as SLOTS
from detkds.genome.words import SPACES, Fold, Role, Word, register

WEIGHTS = (0.1, 0.5, 1.0, 2.0, 5.0, 8.0, 10.0)

BACKGROUND = 0.5
"""What background counts beside foreground (1) unless a genome of fgbg says otherwise."""
BACKGROUNDS = (0.1, BACKGROUND, 1.0, 2.0, 4.0)
"""What the `extended` space offers."""

_UNOFFERED: tuple[str, ...] = ()
"""Words of Table 2 that change nothing: accepted in a genome, never offered, since `none` says the same."""
_EXTENDED = ("extended",)
_PAPER = ("paper", "sound")
"""The semantics of words that have no usable meaning under `released` (SEMANTICS: NaN, wrong sign, absent)."""
_LOGITS, _LOCALIZATION = (Knowledge.LOGITS,), (Knowledge.LOCALIZATION,)

_OF_POSITIONS = r"HW \cdot \operatorname{softmax}_{HW}(\frac{%s}{\tau})"
_OF_CHANNELS = r"C \cdot \operatorname{softmax}_C(\frac{%s}{\tau})"
_SPATIAL = _OF_POSITIONS % r"\operatorname{mean}_C \left| f \right|"
_CHANNEL = _OF_CHANNELS % r"\operatorname{mean}_{HW} \left| f \right|"
_TEACHER = r"\operatorname{mean}_{%s} \left| f_t \right|"
_BOTH = r"\operatorname{mean}_{%s} \left| f_s \right| + \operatorname{mean}_{%s} \left| f_t \right|"
_FOCUS = rf"$f \cdot \sqrt{{A_H \cdot A_C}}$ on either side, $A_H = {_OF_POSITIONS}$, $A_C = {_OF_CHANNELS}$, $\tau = 0.5$"
_SCORED = "$f$, of which a position counts as much as the teacher's best class score there"
_MASK = r"$f \cdot M$, where $M = 0$ for $r < \lambda$ and else 1, $\lambda = 0.65$, "

_STANDARDISED = r"$\frac{f - \mu}{\sqrt{\sigma^2 + \varepsilon}}$ over %s"
_LENGTH = r"$\frac{f}{\left\| f \right\|_2}$ over %s"
_STRETCHED = r"$\frac{f - \min f}{\sqrt{(\max f - \min f)^2 + \varepsilon}}$ over %s"
_NORMS = {
    "norm_HW": (_STANDARDISED % "$H, W$", _LENGTH % "$H, W$"),
    "norm_C": (_STANDARDISED % "$C$", _LENGTH % "$C$"),
    "norm_N": (_STANDARDISED % "$N$" + r"; $\frac{f}{\sqrt{\operatorname{mean} f^2 + \varepsilon}}$ where $N < 4$", _LENGTH % "$N$"),
    "norm_minmax": (_STRETCHED % "$H, W$", _STRETCHED % "the whole level"),
    "norm_batch": (_STANDARDISED % "$N, H, W$, for each channel", ""),
}

_KL = (
    r"$\tau^2 \cdot \operatorname{KL}(\operatorname{softmax}(\frac{t}{\tau}) \parallel \operatorname{softmax}(\frac{s}{\tau}))$ "
    r"over %s, $\tau = %g$"
)
_L1 = r"mean of $\left| s - t \right|$"
_L2 = r"mean of $(s - t)^2$"
_SMOOTH = r"mean of $\frac{1}{2} (s - t)^2$ where $\left| s - t \right| < 1$, else $\left| s - t \right| - \frac{1}{2}$"
_COSINE = r"$1 - \cos(s, t)$ over %s"
_CORRELATION = r"$1 - \operatorname{corr}(s, t)$ over %s"
_CENTRES = r"1 - \mathrm{IoU} + \frac{\rho^2}{c^2}"

_POSITIONS = frozenset({Fold.BY_POSITION})
_ENTRIES = frozenset({Fold.BY_POSITION, Fold.BY_ENTRY})
_MAPWISE = frozenset({Fold.IGNORES_WEIGHTS})


def _attention(
    name: str, formula: str, released: str = "", *folds: Fold, knowledges: tuple[Knowledge, ...] = FEATURES, role: Role = Role.VALUES,
    spaces: tuple[str, ...] = _EXTENDED, reads_responses: bool = False, beside: bool = False,
) -> None:  # fmt: skip
    traits = frozenset(folds)
    register(Word(name, "attention", knowledges, formula, released, spaces, SEMANTICS, traits, role, reads_responses, beside))


def _scale(name: str, formula: str, released: str = "", *folds: Fold, spaces: tuple[str, ...] = SPACES) -> None:
    register(Word(name, "scale", FEATURES, formula, released, spaces, folds=frozenset(folds)))


_attention(NONE, "$f$", spaces=SPACES)
_TAU = r", $\tau = 0.5$"
_attention("satt", rf"$f \cdot {_SPATIAL}$" + _TAU, rf"$f \cdot \sqrt{{{_SPATIAL}}}$" + _TAU, spaces=SPACES)
_attention("catt", rf"$f \cdot {_CHANNEL}$" + _TAU, rf"$f \cdot \sqrt{{{_CHANNEL}}}$" + _TAU, spaces=SPACES)
_attention("mask", _MASK + "one random $r$ per position for both", _MASK + "random $r$ of its own for student and teacher", spaces=SPACES)
_attention("tatt", _FOCUS % (_TEACHER % "C", _TEACHER % "HW"), role=Role.LEVELS)
_attention("jatt", _FOCUS % (_BOTH % ("C", "C"), _BOTH % ("HW", "HW")) + ", without gradient", role=Role.LEVELS)
_attention("score", _SCORED, "", Fold.WEIGHS_ONLY, role=Role.SCORES, reads_responses=True)
_attention("smap", r"$\operatorname{mean}_C \left| f \right|$", beside=True)
_attention("cmap", r"$\operatorname{mean}_{HW} \left| f \right|$ at every position", beside=True)
_attention(
    "generate",
    r"two trained convolutions of $f \cdot M$ for the student, $M$ hiding a share $\lambda = 0.65$ of the positions; $f$ for the teacher",
    role=Role.GENERATED,
)
_attention(
    "gcblock",
    r"$f + W_2 \operatorname{ReLU}(\operatorname{LN}(W_1 c))$, $c = \sum_{HW} f \cdot \operatorname{softmax}_{HW}(W_k f)$, "
    "trained blocks for student and teacher",
    role=Role.GENERATED, beside=True,
)  # fmt: skip
_attention(
    "nonlocal",
    r"$f + \operatorname{BN}(W y)$, $y = \operatorname{softmax}(\theta(f) \cdot \phi(f)) \cdot g(f)$ with pooled keys and values, "
    r"trained blocks for student and teacher",
    role=Role.GENERATED, beside=True,
)  # fmt: skip
_attention(
    "even", "$f$, of which all positions of a region count the same", "", Fold.WEIGHS_ONLY,
    knowledges=(Knowledge.FGBG,), role=Role.REGION,
)  # fmt: skip
_attention(
    "general", "$f$ at the 10 places of an image where student and teacher disagree most, instead of the boxes",
    knowledges=(Knowledge.INSTANCE,), role=Role.INSTANCES, reads_responses=True,
)  # fmt: skip

_scale(NONE, "$f$")
_scale("scale_1", "$f$", "", Fold.IDENTITY, spaces=_UNOFFERED)
_scale("scale_2", r"$2 \times 2$ max pooling", r"$2 \times 2$ max pooling after zero padding")
_scale("scale_4", r"$4 \times 4$ max pooling", r"$4 \times 4$ max pooling after zero padding")
_scale("local_1", "$f$", "", Fold.IDENTITY, spaces=_UNOFFERED)
for _n in (2, 4):
    _scale(
        f"local_{_n}", rf"${_n} \times {_n}$ grid of patches, each a sample", rf"tiles of ${_n} \times {_n}$ cells, each a channel",
        Fold.PATCHES,
    )  # fmt: skip

register(Word(NONE, "norm", FEATURES, "$f$", folds=_POSITIONS))
for _name, (_formula, _released) in _NORMS.items():
    register(Word(_name, "norm", FEATURES, _formula, _released, folds=_POSITIONS if _name == "norm_C" else frozenset()))
register(Word("softmax", "norm", FEATURES, r"$CHW \cdot \operatorname{softmax}_{CHW}(\frac{f}{\tau})$, $\tau = 0.5$", spaces=_EXTENDED))

register(Word(NONE, "transform", _LOGITS, "$f$"))
for _name in ("norm_N", "norm_C", "norm_minmax"):
    register(Word(_name, "transform", _LOGITS, *_NORMS[_name]))
register(Word("reshape_N", "transform", _LOGITS, r"one row per image: $(N, K \cdot H \cdot W)$", folds=frozenset({Fold.REORDERS})))
register(Word("reshape_C", "transform", _LOGITS, r"one row per class: $(K, N \cdot H \cdot W)$", folds=frozenset({Fold.REORDERS})))
register(Word("softmax_N", "transform", _LOGITS, "softmax over the batch"))
register(Word("softmax_C", "transform", _LOGITS, "softmax over the classes"))
register(Word("norm_batch", "transform", _LOGITS, *_NORMS["norm_batch"]))
register(Word("score", "transform", _LOGITS, _SCORED, spaces=_EXTENDED, role=Role.SCORES, folds=frozenset({Fold.WEIGHS_ONLY})))

_CROSSED = "$f$, that of the student predicted by the rest of the teacher's head from the student's head features"
register(Word("cross", "transform", _LOGITS, _CROSSED, spaces=_EXTENDED, role=Role.CROSSED))

register(Word(NONE, "transform", _LOCALIZATION, "$f$"))
register(Word("softmax_N", "transform", _LOCALIZATION, "softmax over the batch"))
register(Word("softmax_C", "transform", _LOCALIZATION, "softmax over the four sides"))
register(Word("pow2", "transform", _LOCALIZATION, r"$f \cdot \left| f \right|$"))
register(Word("sigmoid", "transform", _LOCALIZATION, r"$\frac{1}{1 + e^{-f}}$"))
register(Word("cross", "transform", _LOCALIZATION, _CROSSED, spaces=_EXTENDED, role=Role.CROSSED))

register(Word("l1", "distance", FEATURES, _L1, folds=_ENTRIES))
register(Word("l2", "distance", FEATURES, _L2, folds=_ENTRIES))
register(Word("smooth_l1", "distance", FEATURES, _SMOOTH, folds=_ENTRIES))
register(Word("kl", "distance", FEATURES, _KL % ("$H, W$", 1), semantics=_PAPER, folds=_MAPWISE))
register(Word("cosine", "distance", FEATURES, _COSINE % "$C$", semantics=_PAPER, folds=_POSITIONS))
register(Word("pearson", "distance", FEATURES, _CORRELATION % "$H, W$", _CORRELATION % "$C$", folds=_MAPWISE))
_SSIM = r"$\frac{1 - \operatorname{SSIM}(s, t)}{2}$, $11 \times 11$ Gaussian window"
register(Word("ssim", "distance", FEATURES, _SSIM, semantics=_PAPER, folds=_MAPWISE))

register(Word("l1", "distance", _LOGITS, _L1, folds=_ENTRIES))
register(Word("l2", "distance", _LOGITS, _L2, folds=_ENTRIES))
register(Word("smooth_l1", "distance", _LOGITS, _SMOOTH, folds=_ENTRIES))
register(Word("kl", "distance", _LOGITS, _KL % ("classes", 1), semantics=_PAPER))
register(Word("cosine", "distance", _LOGITS, _COSINE % "classes", semantics=_PAPER))
register(Word("pearson", "distance", _LOGITS, _CORRELATION % "classes"))
_COR = (
    r"$\log_2(\varepsilon + \sum \left| v - 1 \right|^{2 \alpha})$, $v = \operatorname{corr}(s, t)$ of each class over all cells, "
    r"$\alpha = 1.01$"
)
register(Word("cor", "distance", _LOGITS, _COR, folds=_MAPWISE))
_BCE = r"mean of $t \log(\frac{t}{s}) + (1 - t) \log(\frac{1 - t}{1 - s})$"
register(Word("bce", "distance", _LOGITS, _BCE, spaces=_EXTENDED, folds=frozenset({Fold.BY_ENTRY})))
_QFL = r"mean of $- \left| s - t \right| (t \log s + (1 - t) \log(1 - s))$"
register(Word("qfl", "distance", _LOGITS, _QFL, spaces=_EXTENDED, folds=frozenset({Fold.BY_ENTRY})))

_SHAPES = r"$v = \frac{4}{\pi^2} (\arctan(\frac{w_t}{h_t}) - \arctan(\frac{w_s}{h_s}))^2$, $\alpha = \frac{v}{1 - \mathrm{IoU} + v}$"
_SIDES = rf"${_CENTRES} + \frac{{(w_s - w_t)^2}}{{w_c^2}} + \frac{{(h_s - h_t)^2}}{{h_c^2}}$"
_UNION = r"$1 - \mathrm{IoU} + \frac{c - u}{c}$, $u$ the area of the union, $c$ of the enclosing box"
register(Word("iou", "distance", _LOCALIZATION, r"$1 - \mathrm{IoU}$"))
register(Word("ciou", "distance", _LOCALIZATION, rf"${_CENTRES} + \alpha v$, {_SHAPES}"))
register(Word("eiou", "distance", _LOCALIZATION, _SIDES))
register(Word("giou", "distance", _LOCALIZATION, _UNION))
register(Word("diou", "distance", _LOCALIZATION, rf"${_CENTRES}$, $\rho$ the centres' distance, $c$ the enclosing diagonal"))
_BINS = _KL % ("the bins of each side, as they are before any transform", 10)
register(Word("kl", "distance", _LOCALIZATION, _BINS, spaces=_EXTENDED, semantics=_PAPER))
