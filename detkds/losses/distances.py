"""The distances of features and logits (appendix D.0.2): student, teacher, weight of each position -> a scalar, 0 at equality.

Each joins the words that it computes. Two kinds: those with a value at each position, averaged with the positions' weights, and those that
reduce over positions themselves, which take the map whole and count every sample that has any weight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome import Knowledge
from detkds.genome.vocabulary import FEATURES
from detkds.genome.words import operation
from detkds.losses.relative import positions, relative
from detkds.losses.standardise import half_squared_chord, standardise, standardise_channels, standardise_positions, unit

Distance = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(student, teacher (N, C, H, W) float32, weight (N, 1, H, W) >= 0 or None for 1 everywhere) -> scalar float32."""

_MAPS, _SCORES, _BOTH = FEATURES, (Knowledge.LOGITS,), (*FEATURES, Knowledge.LOGITS)
_PAPER, _SOUND = ("paper",), ("sound",)
_BOTH_OURS = ("paper", "sound")

TAU = 1.0
"""τ of kl, as CWD uses it on detectors."""

BINS_TAU = 10.0
"""τ of localization's kl, LD's own."""

RELEASED_EPS = 1e-12
"""ε under the mean square in the published pearson, whose inputs have length 1 or less over hundreds of channels."""

ALPHA = 1.01
"""alpha of Eq. 11; the paper gives no value, the published code this one."""

COR_FLOOR = 2.0**-10
"""ε of cor: its optimum is log2(ε) = -10."""

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_SMALLEST_RANGE = 1e-2
"""Stands in for the teacher's range where its map is constant."""

BCE_EDGE = 1e-4
"""Scores nearer to 0 or 1 count as this near in bce, which bounds its gradient."""

TINY = 1e-12
"""Keeps 0/0 away where no position counts."""


def weighted_mean(values_N1HW: Tensor, weight: Tensor | None) -> Tensor:
    """Σ w d / Σ w over all positions; exactly 0 where no position has weight."""
    if weight is None:
        return values_N1HW.mean()
    return (values_N1HW * weight).sum() / weight.sum().clamp(min=TINY)


def over_positions(values_NCHW: Tensor, weight: Tensor | None) -> Tensor:
    """The weighted mean of values at each position, which are averaged over channels."""
    return values_NCHW.mean() if weight is None else weighted_mean(values_NCHW.mean(1, keepdim=True), weight)


def over_samples(values_NC: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of values of whole maps, over the samples in which any position has weight."""
    if weight is None:
        return values_NC.mean()
    counts = (weight.amax((1, 2, 3)) > 0).to(values_NC.dtype)
    return (values_NC.mean(1) * counts).sum() / counts.sum().clamp(min=1)


@operation("l1", "distance", _BOTH)
def l1(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean |s - t|."""
    return over_positions(F.l1_loss(student, teacher, reduction="none"), weight)


@operation("l2", "distance", _BOTH)
def l2(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean (s - t)². Appendix D has a root around it, whose gradient is infinite at equality."""
    return over_positions(F.mse_loss(student, teacher, reduction="none"), weight)


@operation("smooth_l1", "distance", _BOTH)
def smooth_l1(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean of ½ (s - t)² where |s - t| < 1 and |s - t| - ½ elsewhere."""
    return over_positions(F.smooth_l1_loss(student, teacher, reduction="none"), weight)


@operation("cosine", "distance", _BOTH, _PAPER)
def cosine(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - cos(s, t) over C at each position."""
    return over_positions(half_squared_chord(unit(student, (1,)), unit(teacher, (1,)), (1,))[:, None], weight)


@operation("kl", "distance", _MAPS, _BOTH_OURS)
def kl(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """τ² KL(T ‖ S) of softmax(f / τ) over HW, for each channel."""
    return over_samples(_divergence(student.flatten(2), teacher.flatten(2), 2), weight)


@operation("pearson", "distance", _MAPS, _PAPER)
def pearson(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - corr(s, t) over HW, for each channel."""
    return over_samples(half_squared_chord(standardise_positions(student), standardise_positions(teacher), (2, 3)), weight)


@operation("pearson", "distance", _MAPS, _SOUND)
def pearson_sound(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - corr(s, t) over HW, for each channel, or over N, H, W where a map has too few cells; ε follows the teacher's variance."""
    dims = positions(teacher)
    s, t = (relative(f, teacher, dims) for f in (student, teacher))
    return over_samples(half_squared_chord(s, t, (2, 3)), weight)


@operation("cosine", "distance", _BOTH, _SOUND)
def cosine_sound(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - cos(s, t) over C at each position; ε follows the teacher's mean square."""
    s, t = (relative(f, teacher, (1,), centred=False) for f in (student, teacher))
    return over_positions(half_squared_chord(s, t, (1,))[:, None], weight)


@operation("pearson", "distance", _SCORES, _SOUND)
def pearson_classes_sound(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - corr(s, t) over the classes at each position; ε follows the teacher's variance."""
    s, t = (relative(f, teacher, (1,)) for f in (student, teacher))
    return over_positions(half_squared_chord(s, t, (1,))[:, None], weight)


@operation("ssim", "distance", _MAPS, _BOTH_OURS)
def ssim(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """(1 - SSIM) / 2 of each channel's map: [0, 1].

    Gaussian window 11x11 with deviation 1.5, cut to the map and kept inside it; L is the teacher's range over the level.
    """
    # Second moments do not change under a shift, and taken around each map's own mean they do not drown in rounding.
    shift_s, shift_t = (f.detach().mean((2, 3), keepdim=True) for f in (student, teacher))
    s, t = student - shift_s, teacher - shift_t
    span = (teacher.amax() - teacher.amin()).clamp(min=SSIM_SMALLEST_RANGE)
    c1, c2 = (SSIM_K1 * span).square(), (SSIM_K2 * span).square()
    mean_s, mean_t = _smooth(s), _smooth(t)
    variances = _smooth(s * s + t * t) - (mean_s.square() + mean_t.square())
    covariance = _smooth(s * t) - mean_s * mean_t
    contrast = (2 * covariance + c2) / torch.maximum(variances + c2, c2 / 2)
    mu_s, mu_t = mean_s + shift_s, mean_t + shift_t
    luminance = (2 * mu_s * mu_t + c1) / (mu_s.square() + mu_t.square() + c1)
    return over_samples(0.5 * (1 - luminance * contrast).mean((2, 3)), weight)


@operation("kl", "distance", _SCORES, _BOTH_OURS)
def kl_classes(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """τ² KL(T ‖ S) of softmax(p / τ) over the classes of each position. Scores in [0, 1] serve as the softmax's logits."""
    return over_positions(_divergence(student, teacher, 1)[:, None], weight)


@operation("pearson", "distance", _SCORES, _PAPER)
def pearson_classes(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - corr(s, t) over the classes (or channels) at each position."""
    return over_positions(half_squared_chord(standardise(student, (1,)), standardise(teacher, (1,)), (1,))[:, None], weight)


@operation("pearson", "distance", _BOTH, ("released",))
def pearson_released(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - corr(s, t) over C at each position, with an ε for features of length 1."""
    s, t = (standardise(f, (1,), RELEASED_EPS) for f in (student, teacher))
    return over_positions(half_squared_chord(s, t, (1,))[:, None], weight)


@operation("cor", "distance", _SCORES)
def cor(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """log2(ε + Σ_i |v_i - 1|^(2 alpha)) (Eq. 11) with v_i the correlation of class i over all samples and positions.

    It starts at -10, its optimum, and is the one distance that is not 0 at equality.
    """
    gap = half_squared_chord(standardise_channels(student), standardise_channels(teacher), (0, 2, 3))
    return torch.log2(COR_FLOOR + gap.pow(2 * ALPHA).sum())


@operation("bce", "distance", _SCORES)
def bce(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean of t log(t / s) + (1 - t) log((1 - t) / (1 - s)): the cross entropy of each score less the teacher's entropy."""
    s, t = (p.clamp(BCE_EDGE, 1 - BCE_EDGE) for p in (student, teacher))
    divergence = F.binary_cross_entropy(s, t, reduction="none") - F.binary_cross_entropy(t, t, reduction="none")
    return over_positions(divergence, weight)


@operation("qfl", "distance", _SCORES)
def quality_focal(student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean of |s - t| BCE(s, t): the quality focal loss of GFL with β = 1, the target being the teacher's score (CrossKD)."""
    s, t = (p.clamp(BCE_EDGE, 1 - BCE_EDGE) for p in (student, teacher))
    return over_positions((s - t).abs() * F.binary_cross_entropy(s, t, reduction="none"), weight)


@operation("kl", "distance", (Knowledge.LOCALIZATION,), _BOTH_OURS)
def bins_divergence(student_N4nHW: Tensor, teacher_N4nHW: Tensor) -> Tensor:
    """τ² KL(T ‖ S) of softmax(b / τ) over the n bins of each side, mean over the four sides: (N, H, W); τ = 10 (LD)."""
    student, teacher = (bins.view(len(bins), 4, -1, *bins.shape[2:]) for bins in (student_N4nHW, teacher_N4nHW))
    return _divergence(student, teacher, 2, BINS_TAU).mean(1)


def _divergence(student: Tensor, teacher: Tensor, dim: int, tau: float = TAU) -> Tensor:
    """τ² Σ P_T (log P_T - log P_S) over `dim`, which is removed."""
    log_s, log_t = (student / tau).log_softmax(dim), (teacher / tau).log_softmax(dim)
    return tau**2 * F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(dim)


def _smooth(f_NCHW: Tensor) -> Tensor:
    """Gaussian means at every place where the window lies inside the map."""
    channels, height, width = f_NCHW.shape[1:]
    window = torch.outer(_bell(height, f_NCHW), _bell(width, f_NCHW))
    return F.conv2d(f_NCHW, window.expand(channels, 1, -1, -1), groups=channels)


def _bell(size: int, like: Tensor) -> Tensor:
    """The window along an axis of `size` cells: min(11, size) weights, sum 1."""
    length = min(SSIM_WINDOW, size)
    offset = torch.arange(length, device=like.device, dtype=like.dtype) - (length - 1) / 2
    return (-offset.square() / (2 * SSIM_SIGMA**2)).softmax(0)
