"""Transforms and distances of semantics `paper`, written down plainly for the reference."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

EPS = 1e-6


def attend(word: str, student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    if word == "mask":
        kept = (torch.rand(student[:, :1].shape, generator=generator) >= 0.65).float()
        return student * kept, teacher * kept
    return attention(word, student), attention(word, teacher)


def attention(word: str, f: Tensor) -> Tensor:
    N, C, H, W = f.shape
    if word == "satt":
        return f * (H * W * torch.softmax(f.abs().mean(1).view(N, H * W) / 0.5, 1)).view(N, 1, H, W)
    if word == "catt":
        return f * (C * torch.softmax(f.abs().mean((2, 3)) / 0.5, 1)).view(N, C, 1, 1)
    return f


def patches(f: Tensor, n: int, mode: str) -> Tensor:
    H, W = f.shape[2:]
    h, w = math.ceil(H / n), math.ceil(W / n)
    f = F.pad(f, (0, n * w - W, 0, n * h - H), mode)
    cut = [image[:, i * h : (i + 1) * h, j * w : (j + 1) * w] for image in f for i, j in product(range(n), range(n))]
    return torch.stack(cut)


def normalise(word: str, f: Tensor) -> Tensor:
    if word == "none":
        return f
    if word == "norm_minmax":
        low, high = f.amin((2, 3), keepdim=True), f.amax((2, 3), keepdim=True)
        return (f - low) / torch.sqrt((high - low) ** 2 + EPS)
    if word == "norm_N" and len(f) < 4:
        return f / torch.sqrt((f**2).mean(0, keepdim=True) + EPS)
    return standardise(f, {"norm_HW": (2, 3), "norm_C": (1,), "norm_N": (0,), "norm_batch": (0, 2, 3)}[word])


def standardise(f: Tensor, dims: tuple[int, ...]) -> Tensor:
    return (f - f.mean(dims, keepdim=True)) / torch.sqrt(f.var(dims, correction=0, keepdim=True) + EPS)


def direction(f: Tensor) -> Tensor:
    return f / torch.sqrt((f**2).mean(1, keepdim=True) + EPS)


def distance(word: str, student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Values at positions (l1, l2, smooth_l1, cosine) count by their weight, whole maps where the weight is anywhere above 0."""
    pointwise = {
        "l1": lambda: F.l1_loss(student, teacher, reduction="none"),
        "l2": lambda: F.mse_loss(student, teacher, reduction="none"),
        "smooth_l1": lambda: F.smooth_l1_loss(student, teacher, reduction="none"),
        "cosine": lambda: 0.5 * (direction(student) - direction(teacher)) ** 2,
    }
    if word in pointwise:
        values = pointwise[word]().mean(1, keepdim=True)
        return (values * weight).sum() / weight.sum().clamp(min=1e-12)
    span = (teacher.max() - teacher.min()).clamp(min=1e-2)
    whole = {"kl": divergence, "pearson": decorrelation, "ssim": lambda s, t: dissimilarity(s, t, span)}[word]
    counted = [whole(s, t) for s, t, w in zip(student, teacher, weight, strict=True) if w.max() > 0]
    return torch.stack(counted).mean() if counted else student.sum() * 0


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Of one image (C, H, W)."""
    log_s, log_t = (torch.log_softmax(f.flatten(1), 1) for f in (student, teacher))
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1).mean()


def decorrelation(student: Tensor, teacher: Tensor) -> Tensor:
    return 0.5 * ((standardise(student, (1, 2)) - standardise(teacher, (1, 2))) ** 2).mean()


def dissimilarity(student: Tensor, teacher: Tensor, span: Tensor) -> Tensor:
    C, H, W = student.shape
    window = torch.outer(bell(min(11, H)), bell(min(11, W))).expand(C, 1, -1, -1)

    def smooth(f: Tensor) -> Tensor:
        return F.conv2d(f[None], window, groups=C)[0]

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean_s, mean_t = smooth(student), smooth(teacher)
    var_s, var_t = smooth(student**2) - mean_s**2, smooth(teacher**2) - mean_t**2
    covariance = smooth(student * teacher) - mean_s * mean_t
    similarity = (2 * mean_s * mean_t + c1) * (2 * covariance + c2) / ((mean_s**2 + mean_t**2 + c1) * (var_s + var_t + c2))
    return ((1 - similarity) / 2).mean()


def bell(size: int) -> Tensor:
    weights = torch.exp(-((torch.arange(size) - (size - 1) / 2) ** 2) / (2 * 1.5**2))
    return weights / weights.sum()


def response_transform(word: str, p: Tensor) -> Tensor:
    N, K, H, W = p.shape
    if word == "reshape_N":
        return p.reshape(N, K * H * W, 1, 1)
    if word == "reshape_C":
        return p.permute(1, 0, 2, 3).reshape(K, N * H * W, 1, 1)
    if word.startswith("softmax"):
        return torch.softmax(p, {"softmax_N": 0, "softmax_C": 1}[word])
    if word == "pow2":
        return torch.sign(p) * p**2
    return torch.sigmoid(p) if word == "sigmoid" else normalise(word, p)


def class_distance(word: str, student: Tensor, teacher: Tensor) -> Tensor:
    if word == "kl":
        log_s, log_t = torch.log_softmax(student, 1), torch.log_softmax(teacher, 1)
        return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1).mean()
    if word == "pearson":
        return 0.5 * ((standardise(student, (1,)) - standardise(teacher, (1,))) ** 2).mean()
    if word == "cor":
        gaps = [0.5 * ((standardise(s, (0, 1, 2)) - standardise(t, (0, 1, 2))) ** 2).mean() for s, t in classes(student, teacher)]
        return torch.log2(2**-10 + sum(gap**2.02 for gap in gaps))
    return distance(word, student, teacher, torch.ones_like(student[:, :1]))


def classes(student: Tensor, teacher: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(student.unbind(1), teacher.unbind(1), strict=True))


def box_distance(word: str, student: Tensor, teacher: Tensor) -> Tensor:
    """Of boxes given as left, top, right, bottom distances; in corner coordinates."""
    s, t = (torch.cat([-sides[:, :2], sides[:, 2:]], 1).unbind(1) for sides in (student, teacher))
    area_s, area_t = (((b[2] - b[0]).clamp(min=0) * (b[3] - b[1]).clamp(min=0)) for b in (s, t))
    width = (torch.minimum(s[2], t[2]) - torch.maximum(s[0], t[0])).clamp(min=0)
    height = (torch.minimum(s[3], t[3]) - torch.maximum(s[1], t[1])).clamp(min=0)
    union = area_s + area_t - width * height
    iou = (width * height + 1e-7) / (union + 1e-7)
    cw = torch.maximum(s[2], t[2]) - torch.minimum(s[0], t[0])
    ch = torch.maximum(s[3], t[3]) - torch.minimum(s[1], t[1])
    if word == "iou":
        return 1 - iou
    if word == "giou":
        return 1 - iou + (cw * ch - union) / (cw * ch + 1e-7)
    rho = ((s[0] + s[2] - t[0] - t[2]) ** 2 + (s[1] + s[3] - t[1] - t[3]) ** 2) / 4
    far = 1 - iou + rho / (cw**2 + ch**2 + 1e-7)
    if word == "diou":
        return far
    (ws, hs), (wt, ht) = ((b[2] - b[0], b[3] - b[1]) for b in (s, t))
    if word == "eiou":
        return far + (ws - wt) ** 2 / (cw**2 + 1e-7) + (hs - ht) ** 2 / (ch**2 + 1e-7)
    v = 4 / math.pi**2 * (torch.atan(wt / (ht + 1e-7)) - torch.atan(ws / (hs + 1e-7))) ** 2
    return far + (v / (1 - iou + v + 1e-7)).detach() * v
