"""The losses of semantics `paper` written down plainly: a loop over levels, images and boxes, one formula a line, nothing fused.

It shares no code with `detkds.losses` but the views. The tests hold both to the same numbers, the benchmark to their times.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses import Views

EPS = 1e-6


def recipe_loss(recipe: Recipe, views: Views, step: int) -> dict[Knowledge, Tensor]:
    """Weighted losses of the active genomes, semantics `paper`."""
    views = views.in_float32()
    losses = {
        Knowledge.GLOBAL: global_loss,
        Knowledge.FGBG: fgbg_loss,
        Knowledge.INSTANCE: instance_loss,
        Knowledge.LOGITS: logits_loss,
        Knowledge.LOCALIZATION: localization_loss,
    }
    result = {}
    for genome in recipe.active:
        generator = torch.Generator().manual_seed(step * 5 + list(Knowledge).index(genome.knowledge))
        result[genome.knowledge] = genome.weight * losses[genome.knowledge](genome, views, generator)
    return result


def global_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    total = 0.0
    for student, teacher in zip(views.student_levels, views.teacher_levels, strict=True):
        total = total + feature_loss(genome, student, teacher, torch.ones_like(student[:, :1]), generator)
    return total / len(views.student_levels)


def fgbg_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    total = 0.0
    for student, teacher, stride in zip(views.student_levels, views.teacher_levels, views.strides, strict=True):
        foreground = torch.zeros_like(student[:, :1])
        height, width = foreground.shape[2:]
        for image, boxes in enumerate(views.boxes):
            for x1, y1, x2, y2 in boxes.tolist():
                left, top = math.floor(x1 / stride), math.floor(y1 / stride)
                right, bottom = min(math.ceil(x2 / stride), width), min(math.ceil(y2 / stride), height)
                part = foreground[image, 0, top:bottom, left:right]
                part.copy_(part.clamp(min=1 / ((right - left) * (bottom - top))))
        background = (foreground == 0).float()
        inside = 1 - background
        total = total + feature_loss(genome, student * inside, teacher * inside, foreground, generator)
        total = total + 0.5 * feature_loss(genome, student * background, teacher * background, background, generator)
    return total / len(views.student_levels)


def instance_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    crops: list[list[Tensor]] = [[], []]
    for image, boxes in enumerate(views.boxes):
        for box in boxes.tolist():
            side = math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1))
            k = math.floor(4 + math.log2(side / 224))
            level = max(index for index, stride in enumerate(views.strides) if index == 0 or math.log2(stride) <= k)
            for levels, found in zip((views.student_levels, views.teacher_levels), crops, strict=True):
                found.append(crop(levels[level][image : image + 1], views.strides[level], box))
    student, teacher = torch.cat(crops[0]), torch.cat(crops[1])
    return feature_loss(genome, student, teacher, torch.ones_like(student[:, :1]), generator)


def crop(level: Tensor, stride: int, box: list[float]) -> Tensor:
    """RoIAlign of one box: 14 x 14 bilinear samples, averaged two by two."""
    height, width = level.shape[2:]
    x1, y1, x2, y2 = (side / stride - 0.5 for side in box)
    steps = (torch.arange(14) + 0.5) / 14
    x, y = x1 + (x2 - x1) * steps, y1 + (y2 - y1) * steps
    grid_y, grid_x = torch.meshgrid((2 * y + 1) / height - 1, (2 * x + 1) / width - 1, indexing="ij")
    samples = F.grid_sample(level, torch.stack([grid_x, grid_y], 2)[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples, 2)


def feature_loss(genome: Genome, student: Tensor, teacher: Tensor, weight: Tensor, generator: Generator) -> Tensor:
    slots = genome.slots
    student, teacher = attend(slots["attention"], student, teacher, generator)
    word, _, n = slots["scale"].partition("_")
    if word == "scale":
        student, teacher, weight = (F.max_pool2d(f, int(n), ceil_mode=True) for f in (student, teacher, weight))
    if word == "local":
        student, teacher = (patches(f, int(n), "replicate") for f in (student, teacher))
        weight = patches(weight, int(n), "constant")
    return distance(slots["distance"], normalise(slots["norm"], student), normalise(slots["norm"], teacher), weight)


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


def logits_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    assert views.student_response is not None
    assert views.teacher_response is not None
    total = 0.0
    for scores in zip(views.student_response.scores, views.teacher_response.scores, strict=True):
        student, teacher = (response_transform(genome.slots["transform"], p) for p in scores)
        total = total + class_distance(genome.slots["distance"], student, teacher)
    return total / len(views.student_response.scores)


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


def localization_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    student, teacher = views.student_response, views.teacher_response
    assert student is not None
    assert teacher is not None
    total = 0.0
    for level, centres in enumerate(student.centres):
        units = student.units[level].clamp(min=1)
        sides = []
        for boxes in (student.boxes[level], teacher.boxes[level]):
            low, high = (centres - boxes[:, :2]) / units, (boxes[:, 2:] - centres) / units
            sides.append(response_transform(genome.slots["transform"], torch.cat([low, high], 1)))
        score = teacher.scores[level].max(1).values
        weight = torch.where(score > 0.05, score, 0)
        total = total + (box_distance(genome.slots["distance"], *sides) * weight).sum() / weight.sum().clamp(min=1e-12)
    return total / len(student.centres)


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
