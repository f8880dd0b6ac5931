"""One picture of the demo's data set: shapes with textures that hide one another before a cluttered background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detkds.data.shapes import AREAS, SHAPES, TEXTURES, Plane, segment

Picture = NDArray[np.float64]  # (H, W, 3), RGB around 0 to 1
Mask = NDArray[np.bool_]  # (H, W)

CLASSES = tuple(SHAPES)
_PLACES = 12  # places tried for an object before it is left out
_MIN_AREA_PX2 = 24


@dataclass(frozen=True)
class Scene:
    """How hard the pictures are. Ranges are (lowest, highest), drawn evenly; colours run from 0 to 1.

    Args:
        objects: how many are tried a picture; those without a place are left out.
        radius_px: an object's size; small ones are drawn as often as large ones.
        squeeze: height of an object over its width.
        visible: share of an object that must stay in sight behind others.
        contrast: distance in RGB of an object's colour from what lies below it.
        texture: strength of textures.
        tell: how often an object wears its class's own texture instead of any; 1 lets a detector cheat, 0 leaves the outline only.
        strokes, patches: lines and soft spots of clutter; half of the lines lie above the objects.
        light: factor of a whole picture's brightness.
        noise: standard deviation of a pixel's noise.
        empty: share of pictures without objects.
    """

    objects: tuple[int, int] = (4, 9)
    radius_px: tuple[float, float] = (11.0, 26.0)
    squeeze: tuple[float, float] = (0.75, 1.0)
    visible: float = 0.6
    contrast: tuple[float, float] = (0.5, 0.9)
    texture: float = 0.25
    tell: float = 1.0
    strokes: tuple[int, int] = (0, 2)
    patches: tuple[int, int] = (0, 2)
    light: tuple[float, float] = (0.85, 1.1)
    noise: float = 0.02
    empty: float = 0.02


@dataclass(frozen=True)
class Piece:
    """One object of a picture.

    Args:
        kind: its class, a place in CLASSES.
        mask: (H, W) what is in sight of it behind other objects; clutter above it does not count.
        area_px2: what would be in sight if nothing lay above it, nor beyond the border.
    """

    kind: int
    mask: Mask
    area_px2: float


def draw(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Piece]]:
    """A picture and its objects.

    Args:
        scene: the difficulty.
        size: (width, height) in pixels.
        rng: the only source of chance.

    Returns:
        The picture, (H, W, 3) uint8 RGB, and its objects, the lowest first.
    """
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float64)
    picture = _background(x, y, rng)
    for _ in range(_whole(scene.patches, rng)):
        _soft_patch(picture, x, y, rng)
    strokes = _whole(scene.strokes, rng)
    for _ in range(strokes - strokes // 2):
        _stroke(picture, x, y, rng)
    pieces: list[Piece] = []
    for _ in range(_whole(scene.objects, rng) if rng.random() >= scene.empty else 0):
        pieces = _place(scene, picture, pieces, x, y, rng)
    for _ in range(strokes // 2):
        _stroke(picture, x, y, rng)
    picture = picture * rng.uniform(*scene.light) + rng.normal(0, scene.noise, picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8), pieces


def _place(scene: Scene, picture: Picture, pieces: list[Piece], x: Plane, y: Plane, rng: np.random.Generator) -> list[Piece]:
    """Draw one more object above the others where it leaves enough of each of them in sight; returns all pieces as then seen."""
    kind = int(rng.integers(len(CLASSES)))
    radius = float(np.exp(rng.uniform(*np.log(scene.radius_px))))
    radii = (radius, radius * rng.uniform(*scene.squeeze))
    angle = rng.uniform(0, 2 * np.pi)
    texture = TEXTURES[kind if rng.random() < scene.tell else int(rng.integers(len(TEXTURES)))]
    for _ in range(_PLACES):
        u, v = _own_frame(x, y, rng.uniform(0, x.shape[1]), rng.uniform(0, x.shape[0]), angle, radii)
        distance = SHAPES[CLASSES[kind]](u, v)
        mask = distance < 0
        top = Piece(kind, mask, AREAS[CLASSES[kind]] * radii[0] * radii[1])
        now = [*(replace(piece, mask=piece.mask & ~mask) for piece in pieces), top]
        if all(piece.mask.sum() >= max(_MIN_AREA_PX2, scene.visible * piece.area_px2) for piece in now):
            colour = picture[mask].mean(axis=0) + _step(rng) * rng.uniform(*scene.contrast)
            _paint(picture, colour + scene.texture * texture(u, v)[..., None], np.clip(0.5 - distance * radius, 0, 1))
            return now
    return pieces


def _background(x: Plane, y: Plane, rng: np.random.Generator) -> Picture:
    """A colour with slow waves of other colours."""
    picture = np.tile(rng.uniform(0.25, 0.75, 3), (*x.shape, 1))
    for _ in range(5):
        length_px, angle = rng.uniform(25, 160), rng.uniform(0, np.pi)
        wave = np.cos(2 * np.pi / length_px * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 2 * np.pi))
        picture += rng.normal(0, 0.035, 3) * wave[..., None]
    return picture


def _soft_patch(picture: Picture, x: Plane, y: Plane, rng: np.random.Generator) -> None:
    radius = rng.uniform(6, 24)
    distance = np.hypot(x - rng.uniform(0, x.shape[1]), y - rng.uniform(0, x.shape[0]))
    _paint(picture, rng.uniform(0.15, 0.85, 3), 0.6 * np.exp(-((distance / radius) ** 2)))


def _stroke(picture: Picture, x: Plane, y: Plane, rng: np.random.Generator) -> None:
    half, width_px = rng.uniform(8, 40), rng.uniform(0.8, 2.5)
    centre = rng.uniform(0, x.shape[1]), rng.uniform(0, x.shape[0])
    distance = segment(*_own_frame(x, y, *centre, rng.uniform(0, np.pi), (half, half))) * half
    _paint(picture, rng.uniform(0.1, 0.9, 3), np.clip(width_px + 0.5 - distance, 0, 1))


def _paint(picture: Picture, colour: NDArray[np.float64], alpha: Plane) -> None:
    there = alpha > 0.002  # half a grey level; what is painted is small beside the picture
    below = picture[there]
    picture[there] = below + alpha[there, None] * (np.broadcast_to(colour, picture.shape)[there] - below)


def _own_frame(x: Plane, y: Plane, cx: float, cy: float, angle: float, radii: tuple[float, float]) -> tuple[Plane, Plane]:
    """Pixel coordinates in the frame of an object at (cx, cy), turned by `angle`, in units of its radii."""
    dx, dy = x - cx, y - cy
    return (dx * np.cos(angle) + dy * np.sin(angle)) / radii[0], (dy * np.cos(angle) - dx * np.sin(angle)) / radii[1]


def _step(rng: np.random.Generator) -> NDArray[np.float64]:
    """A direction in RGB, of length 1."""
    away = rng.normal(size=3)
    unit: NDArray[np.float64] = away / np.linalg.norm(away)
    return unit


def _whole(range_: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(range_[0], range_[1] + 1))
