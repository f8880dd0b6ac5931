"""Known methods against their published definitions, written out here from the papers' formulas.

The papers sum where the losses here take means, so that a loss does not grow with the size of an image or the number of boxes; each test
states the number in between. Levels are averaged, so one level is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome import Genome, Knowledge
from detkds.genome.presets import preset
from detkds.losses import DistillLoss, RecipeLoss, Response, Views
from detkds.losses.trained import MODULES, TrainedModules
from detkds.losses.trained.global_context import GlobalContexts
from detkds.losses.trained.non_local import NonLocals
from detkds.losses.views import Generated

HEIGHT, WIDTH, STRIDE, CHANNELS = 13, 10, 8, 4
CELLS = HEIGHT * WIDTH


@pytest.fixture
def views(make_views: Callable[..., Views]) -> Views:
    """One level of 13 x 10 cells, one image with two boxes that do not touch: 3 x 4 and 2 x 5 cells."""
    boxes = (torch.tensor([[8.0, 8.0, 32.0, 40.0], [48.0, 56.0, 64.0, 96.0]]),)
    return make_views(samples=1, channels=CHANNELS, sizes=((HEIGHT, WIDTH),), strides=(STRIDE,), boxes=boxes)


def loss(text: str, views: Views) -> float:
    return float(DistillLoss(Genome.parse(text))(views, 0))


def features(views: Views) -> tuple[Tensor, Tensor]:
    return views.student_levels[0], views.teacher_levels[0]


def test_fitnets(views: Views):
    # Romero et al.: ½ ‖t - s‖², a sum over C H W
    s, t = features(views)
    published = 0.5 * ((t - s) ** 2).sum()
    assert loss(str(preset("fitnets")), views) * 0.5 * CHANNELS * CELLS == pytest.approx(float(published), rel=1e-5)


def test_pkd(make_views: Callable[..., Views]):
    # Cao et al.: features standardised for each channel over the batch and the positions, 1 / (2m) Σ (s - t)² = 1 - r
    views = make_views(samples=3, sizes=((13, 10),), strides=(8,))
    rows = [f.transpose(0, 1).flatten(1).double() for f in features(views)]
    published = torch.stack([1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*rows, strict=True)]).mean()
    assert loss(str(preset("pkd x 1")), views) / 2 == pytest.approx(float(published), rel=1e-4)
    # 10 of it at each of 4 levels; ours is a mean over them
    assert loss(str(preset("pkd")), views) == pytest.approx(4 * 10 * float(published), rel=1e-4)


def test_cwd(views: Views):
    # Shu et al.: τ²/C Σ_c Σ_i φ(t) log(φ(t) / φ(s)), φ the softmax over the positions of a channel; τ = 1 for detectors
    s, t = (torch.exp(f) / torch.exp(f).sum((2, 3), keepdim=True) for f in features(views))
    published = (t * torch.log(t / s)).sum() / CHANNELS
    assert loss(str(preset("cwd x 1")), views) == pytest.approx(float(published), rel=1e-4)
    # 10 of it at each of 5 levels; ours is a mean over them
    assert loss(str(preset("cwd")), views) == pytest.approx(5 * 10 * float(published), rel=1e-4)


def test_skd(make_views: Callable[..., Views]):
    # de Rijk et al.: (1 - SSIM) / 2 with an 11 x 11 Gaussian window; on 11 x 11 cells there is one window a channel
    views = make_views(samples=1, sizes=((11, 11),), strides=(8,))
    s, t = (f[0].double() for f in features(views))
    bell = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2)).double()
    window = torch.outer(bell, bell) / torch.outer(bell, bell).sum()
    mean_s, mean_t = ((window * f).sum((1, 2)) for f in (s, t))
    var_s, var_t = ((window * f * f).sum((1, 2)) - mean**2 for f, mean in ((s, mean_s), (t, mean_t)))
    covariance = (window * s * t).sum((1, 2)) - mean_s * mean_t
    c1, c2 = ((k * (t.max() - t.min())) ** 2 for k in (0.01, 0.03))
    similarity = (2 * mean_s * mean_t + c1) * (2 * covariance + c2) / ((mean_s**2 + mean_t**2 + c1) * (var_s + var_t + c2))
    assert loss(str(preset("skd")), views) == pytest.approx(float((1 - similarity).mean() / 2), rel=1e-4)


def foreground(views: Views) -> Tensor:
    """(H, W): 1 in a box; its sides lie on the borders of cells."""
    mask = torch.zeros(HEIGHT, WIDTH)
    for x1, y1, x2, y2 in (views.boxes[0] / STRIDE).int().tolist():
        mask[y1:y2, x1:x2] = 1
    return mask


def test_defeat(views: Views):
    # Guo et al.: α_obj / (2 N_obj) Σ M (t - s)² + α_bg / (2 N_bg) Σ (1 - M) (t - s)², sums over channels too; α_bg = 4 α_obj
    s, t = features(views)
    mask = foreground(views)
    assert float(mask.sum()) == 3 * 4 + 2 * 5
    squares = ((t - s) ** 2).sum((0, 1))
    published = 1 / (2 * mask.sum()) * (mask * squares).sum() + 4 / (2 * (1 - mask).sum()) * ((1 - mask) * squares).sum()
    assert loss(str(preset("defeat")), views) * CHANNELS / 2 == pytest.approx(float(published), rel=1e-5)


def attention(spatial: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """FGD: HW softmax(mean_C |f| / T) and C softmax(mean_HW |f| / T), T = 0.5; (H W,) and (C,)."""
    return CELLS * torch.softmax(spatial.flatten() / 0.5, 0), CHANNELS * torch.softmax(channel.flatten() / 0.5, 0)


def test_fgd(views: Views):
    # Yang et al., focal part: Σ M A_S A_C (t - s)² / area of the box + β Σ (1 - M) A_S A_C (t - s)² / N_bg, A of the teacher; sums over C.
    # The authors' β is α / 2. Attention: γ (Σ_HW |A_S(t) - A_S(s)| + Σ_C |A_C(t) - A_C(s)|).
    recipe = preset("fgd")
    s, t = (f[0] for f in features(views))
    (spatial_s, channel_s), (spatial_t, channel_t) = (attention(f.abs().mean(0), f.abs().mean((1, 2))) for f in (s, t))
    squares = ((t - s) ** 2 * spatial_t.view(1, HEIGHT, WIDTH) * channel_t.view(-1, 1, 1)).sum(0)
    mask = foreground(views)
    inside = sum(squares[y1:y2, x1:x2].sum() / ((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in (views.boxes[0] / STRIDE).int().tolist())
    outside = ((1 - mask) * squares).sum() / (1 - mask).sum()
    channel_map, _, spatial_map, focal = (float(DistillLoss(genome)(views, 0)) for genome in recipe.genomes)
    # ours: means over channels, and foreground over its two boxes
    assert focal == pytest.approx(float(inside / 2 + 0.5 * outside) / CHANNELS, rel=1e-4)
    assert spatial_map * CELLS == pytest.approx(float((spatial_t - spatial_s).abs().sum()), rel=1e-4)
    assert channel_map * CHANNELS == pytest.approx(float((channel_t - channel_s).abs().sum()), rel=1e-4)


def test_fkd(views: Views):
    # Zhang & Ma: masks M = HW softmax((G(s) + G(t)) / T) and C softmax(…) of both sides' maps G = mean |f|;
    # L_AT = ‖G_S(s) - G_S(t)‖ + ‖G_C(s) - G_C(t)‖; L_AM = (Σ (t - s)² M_S M_C)^½. Here each norm is squared and a mean.
    recipe = preset("fkd")
    s, t = (f[0] for f in features(views))
    spatial, channels = ([f.abs().mean(dims) for f in (s, t)] for dims in ((0,), (1, 2)))
    mask_s, mask_c = attention(spatial[0] + spatial[1], channels[0] + channels[1])
    masked = (((t - s) ** 2 * mask_s.view(1, HEIGHT, WIDTH) * mask_c.view(-1, 1, 1)).sum()).sqrt()
    joint, of_channels, relation, of_positions = (float(DistillLoss(genome)(views, 0)) for genome in recipe.genomes)
    assert (joint * CHANNELS * CELLS) ** 0.5 == pytest.approx(float(masked), rel=1e-4)
    assert (of_positions * CELLS) ** 0.5 == pytest.approx(float((spatial[0] - spatial[1]).norm()), rel=1e-4)
    assert (of_channels * CHANNELS) ** 0.5 == pytest.approx(float((channels[0] - channels[1]).norm()), rel=1e-4)
    assert float(RecipeLoss(recipe)(views, 0)[Knowledge.GLOBAL]) == pytest.approx(joint + of_channels + relation + of_positions, rel=1e-5)


def test_no_gradient_flows_through_the_masks_of_fkd(views: Views):
    s, t = (f[0] for f in features(views))
    mask_s, mask_c = attention(s.abs().mean(0) + t.abs().mean(0), s.abs().mean((1, 2)) + t.abs().mean((1, 2)))
    expected = 2 * (s - t) * mask_s.view(1, HEIGHT, WIDTH) * mask_c.view(-1, 1, 1) / (CHANNELS * CELLS)
    student = views.student_levels[0].clone().requires_grad_()
    joint = preset("fkd").genomes[0]
    (gradient,) = torch.autograd.grad(DistillLoss(joint)(replace(views, student_levels=(student,)), 0), student)
    torch.testing.assert_close(gradient[0], expected)


def heads(views: Views) -> tuple[Response, Response]:
    assert views.student_response is not None
    assert views.teacher_response is not None
    return views.student_response, views.teacher_response


def test_frs(views: Views):
    # Du et al.: S = max over classes of the teacher's score; features 1/N Σ_ij S Σ_c (t - s)², N = Σ S;
    # classes 1/N Σ_ij S Σ_c BCE(y_s, y_t). The teacher's own entropy is a constant, which is left out here.
    s, t = features(views)
    student, teacher = (side.scores[0] for side in heads(views))
    score = teacher.max(1).values
    published = (score * ((t - s) ** 2).sum(1)).sum() / score.sum()
    p, q = student.clamp(1e-4, 1 - 1e-4), teacher.clamp(1e-4, 1 - 1e-4)
    cross = -(q * torch.log(p) + (1 - q) * torch.log(1 - p))
    entropy = -(q * torch.log(q) + (1 - q) * torch.log(1 - q))
    classes = (score * (cross - entropy).sum(1)).sum() / score.sum()
    recipe = preset("frs")
    assert loss(str(recipe.genomes[0]), views) * CHANNELS == pytest.approx(float(published), rel=1e-5)
    assert loss(str(recipe.genomes[1]), views) * 3 == pytest.approx(float(classes), rel=1e-3)


def test_gid(views: Views):
    # Dai et al.: P = max_c |p_t - p_s|, the box of the side with the higher score, NMS at IoU 0.3, the 10 best;
    # features cropped by RoIAlign, squared error. mmcv's operators choose and crop.
    ops = pytest.importorskip("mmcv.ops")
    student, teacher = heads(views)
    p_s, p_t = (side.scores[0][0].flatten(1) for side in (student, teacher))
    b_s, b_t = (side.boxes[0][0].flatten(1).T for side in (student, teacher))
    boxes = torch.where((p_t.max(0).values > p_s.max(0).values)[:, None], b_t, b_s)
    limit = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT]) * float(STRIDE)
    boxes = boxes.clamp(min=0).minimum(limit)
    kept = ops.nms(boxes, (p_t - p_s).abs().max(0).values, 0.3)[1][:10]
    assert len(kept) == 10
    rois = torch.cat([torch.zeros(10, 1), boxes[kept]], 1)
    s, t = (ops.roi_align(f, rois, (7, 7), 1 / STRIDE, 2, "avg", True) for f in features(views))
    published = ((t - s) ** 2).flatten(1).sum(1).mean()
    assert loss(str(preset("gid")), views) * CHANNELS * 49 == pytest.approx(float(published), rel=1e-4)


def test_gid_counts_no_place_where_both_sides_agree(views: Views):
    student, teacher = heads(views)
    scores = teacher.scores[0].clone()
    scores[0, 0, 4, 5] = 1 - scores[0, 0, 4, 5]
    one = replace(views, student_response=replace(teacher, scores=(scores,)))
    x1, y1, x2, y2 = teacher.boxes[0][0, :, 4, 5].tolist()
    alone = replace(views, boxes=(torch.tensor([[x1, y1, x2, y2]]),))
    assert loss("instance: general > none > none | l2", one) == pytest.approx(loss("instance: none > none > none | l2", alone), rel=1e-5)
    assert loss("instance: general > none > none | l2", replace(views, student_response=teacher)) == 0
    assert student is not teacher


def test_ld(views: Views):
    # Zheng et al.: for each of the four sides τ² KL(softmax(z_t / τ) ‖ softmax(z_s / τ)) over its bins, τ = 10.
    # Here a cell weighs as much as the teacher's best score, above 0.05, and the four sides are averaged.
    student, teacher = heads(views)
    assert student.bins is not None
    assert teacher.bins is not None
    score = teacher.scores[0].max(1).values[0]
    total = weights = 0.0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            z_s, z_t = (side[0][0, :, y, x].view(4, 5) for side in (student.bins, teacher.bins))
            p_s, p_t = torch.softmax(z_s / 10, 1), torch.softmax(z_t / 10, 1)
            weight = float(score[y, x]) if score[y, x] > 0.05 else 0.0
            total += weight * 100 * float((p_t * torch.log(p_t / p_s)).sum()) / 4
            weights += weight
    assert loss(str(preset("ld")), views) == pytest.approx(total / weights, rel=1e-3)


def test_mgd(views: Views):
    # Yang et al.: Σ (t - G(s · M))², M = 0 where r < λ, else 1, λ = 0.65; G = conv 3x3, ReLU, conv 3x3
    s, t = features(views)
    make = TrainedModules(["generate"], [CHANNELS])
    first, second = (layer for layer in make.modules() if isinstance(layer, torch.nn.Conv2d))
    r = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))
    hidden = F.relu(F.conv2d(s * (r >= 0.65), first.weight, first.bias, padding=1))
    published = ((t - F.conv2d(hidden, second.weight, second.bias, padding=1)) ** 2).sum()
    of_step = replace(views, generated=make(views.student_levels, views.teacher_levels, step=3))
    value = DistillLoss(preset("mgd").genomes[0])(of_step, 3)
    assert float(value.detach()) * CHANNELS * CELLS == pytest.approx(float(published.detach()), rel=1e-4)
    value.backward()
    assert all(parameter.grad is not None for parameter in make.parameters())


def randomised(module: torch.nn.Module) -> None:
    """Blocks that start as the identity would hide a wrong inner layer."""
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) / 2)


def test_the_global_relation_of_fgd(views: Views):
    # Yang et al., Eq. 10, 11: R(F) = F + W_v2 ReLU(LN(W_v1 Σ_j softmax_j(W_k F_j) F_j)), λ Σ (R(t) - R(s))², a block for each side
    make = TrainedModules(["gcblock"], [CHANNELS])
    randomised(make)
    blocks = make["gcblock"][0]  # type: ignore[index]
    assert isinstance(blocks, GlobalContexts)
    sides = []
    for f, block in zip(features(views), (blocks.student, blocks.teacher), strict=True):
        narrow, norm, _, wide = block.transform
        columns = f[0].flatten(1)  # (C, H W)
        key = block.key.weight.flatten() @ columns + block.key.bias
        context = sum(share * column for share, column in zip(torch.exp(key) / torch.exp(key).sum(), columns.T, strict=True))
        hidden = narrow.weight.flatten(1) @ context + narrow.bias
        spread = ((hidden - hidden.mean()) ** 2).mean()
        hidden = (hidden - hidden.mean()) / (spread + 1e-5).sqrt() * norm.weight.flatten() + norm.bias.flatten()
        sides.append(columns + (wide.weight.flatten(1) @ hidden.clamp(min=0) + wide.bias)[:, None])
    published = ((sides[1] - sides[0]) ** 2).sum()
    of_step = replace(views, generated=make(*(views.student_levels, views.teacher_levels), step=3))
    genome = next(genome for genome in preset("fgd").genomes if genome.slots["attention"] == "gcblock")
    assert float(DistillLoss(genome)(of_step, 3).detach()) * CHANNELS * CELLS == pytest.approx(float(published.detach()), rel=1e-4)


@pytest.mark.parametrize(("place", "pooling", "inside"), [(0, 8, 1), (1, 4, 1), (2, 2, 2), (4, 2, 2)])
def test_the_non_local_relation_of_fkd(views: Views, place: int, pooling: int, inside: int):
    # Zhang & Ma: ‖adapt(NL_s(s)) - NL_t(t)‖, NL(f)_i = f_i + BN(W Σ_j softmax_j(θ(f_i) φ(f_j)) g(f_j)), φ and g max-pooled by 8, 4, 2, …;
    # C / 4 channels inside at the two finest levels, C / 2 at the others (of C = 4). Here the norm is squared and a mean.
    make = NonLocals(CHANNELS, place)
    randomised(make)
    assert make.student.query.out_channels == inside
    sides = []
    for f, block in zip(features(views), (make.student, make.teacher), strict=True):
        theta, phi, g = (conv(f)[0] for conv in (block.query, block.key, block.value))
        tiles = [
            (slice(y, y + pooling), slice(x, x + pooling)) for y in range(0, HEIGHT, pooling) for x in range(0, WIDTH, pooling)
        ]  # the last of a row or column has what is left
        keys, values = (torch.stack([part[:, rows, columns].amax((1, 2)) for rows, columns in tiles]) for part in (phi, g))
        related = torch.zeros(CHANNELS, HEIGHT, WIDTH)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                similar = torch.exp(keys @ theta[:, y, x])
                y_i = (similar / similar.sum()) @ values
                related[:, y, x] = block.out.weight.flatten(1) @ y_i + block.out.bias
        mean, var = related.mean((1, 2), keepdim=True), related.var((1, 2), correction=0, keepdim=True)
        related = (related - mean) / (var + 1e-5).sqrt() * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
        sides.append(f[0] + related)
    adapted = torch.einsum("oc,chw->ohw", make.adapt.weight.flatten(1), sides[0]) + make.adapt.bias[:, None, None]  # type: ignore[index]
    published = (sides[1] - adapted).norm()
    made = Generated(*((side,) for side in make(*features(views), torch.Generator())))
    genome = next(genome for genome in preset("fkd").genomes if genome.slots["attention"] == "nonlocal")
    value = DistillLoss(genome)(replace(views, generated={"nonlocal": made}), 3)
    assert (float(value.detach()) * CHANNELS * CELLS) ** 0.5 == pytest.approx(float(published.detach()), rel=1e-4)


def test_blocks_of_relations_start_as_the_identity(views: Views):
    made = TrainedModules(["gcblock", "nonlocal"], [CHANNELS])(views.student_levels, views.teacher_levels, 0)
    assert all(torch.equal(made["gcblock"][side][0], features(views)[side]) for side in (0, 1))
    assert torch.equal(made["nonlocal"].teacher[0], features(views)[1])


@pytest.mark.parametrize("word", MODULES)
def test_modules_of_words_take_levels_of_one_cell(word: str):
    level = torch.randn(1, CHANNELS, 1, 1, requires_grad=True)
    made = TrainedModules([word], [CHANNELS] * 3)([level] * 3, [level.detach()] * 3, 0)[word]
    assert all(side.isfinite().all() and side.shape == level.shape for side in (*made.student, *made.teacher))


@pytest.mark.parametrize("word", MODULES)
def test_modules_of_words_are_finite_for_large_features_in_half_precision(word: str):
    # 4 channels of 3e4 have a dot product of 3.6e9, and half precision ends at 65,504
    level = torch.full((1, CHANNELS, 4, 4), 3e4, dtype=torch.float16, requires_grad=True)
    make = TrainedModules([word], [CHANNELS])
    with torch.autocast("cpu", dtype=torch.float16):
        made = make([level], [level.detach()], 0)[word]
    made.student[0].mean().backward()
    assert made.student[0].dtype == made.teacher[0].dtype == torch.float32
    assert level.grad is not None
    assert all(tensor.isfinite().all() for tensor in (*made.student, *made.teacher, level.grad))


@pytest.mark.parametrize("word", MODULES)
def test_modules_of_words_start_alike_and_leave_the_random_stream_alone(word: str):
    before = torch.get_rng_state()
    first, second = TrainedModules([word], [4, 4]), TrainedModules(list(MODULES), [4, 4])
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first[word].parameters(), second[word].parameters(), strict=True):
        assert torch.equal(a, b)
    level = torch.rand(1, 4, 6, 6)
    one, other, later = (make([level, level], [level, level], step)[word] for make, step in ((first, 1), (second, 1), (first, 2)))
    assert torch.equal(one.student[0], other.student[0])
    assert torch.equal(one.student[0], later.student[0]) == (word != "generate")


def test_crosskd(views: Views):
    # Wang et al.: Σ |σ(c) - y|^β BCE(c, y) over cells and classes, β = 1, y the teacher's score and c the cross-head prediction; and
    # Σ y (1 - GIoU) over cells, y the best score. mmdet's GIoU loss is the reference.
    losses = pytest.importorskip("mmdet.models.losses")
    crossed, (_, teacher) = views.crossed_response, heads(views)
    assert crossed is not None
    c, y = crossed.scores[0].double(), teacher.scores[0].double()
    published = ((c - y).abs() * -(y * c.log() + (1 - y) * (1 - c).log())).sum()
    classes, boxes = (float(DistillLoss(genome)(views, 0)) for genome in preset("crosskd").genomes)
    assert classes * y.numel() == pytest.approx(float(published), rel=1e-3)
    weight = y.amax(1).flatten() * (y.amax(1).flatten() > 0.05)
    sides = [side.boxes[0][0].flatten(1).T for side in (crossed, teacher)]
    overlap = losses.GIoULoss(reduction="none")(*sides)
    assert boxes == pytest.approx(float((weight * overlap).sum() / weight.sum()), rel=1e-3)
