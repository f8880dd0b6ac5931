"""The demo's objects as signed distances: negative inside, zero on the edge, in units of the object's radius."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]  # (H, W), one value a pixel
Shape = Callable[[Plane, Plane], Plane]  # of x and y in the object's own frame


def disc(x: Plane, y: Plane) -> Plane:
    """A circle of radius 0.9."""
    return np.hypot(x, y) - 0.9


def square(x: Plane, y: Plane) -> Plane:
    """A square of side 1.6."""
    edge: Plane = np.maximum(abs(x), abs(y)) - 0.8
    return edge


def triangle(x: Plane, y: Plane) -> Plane:
    """An equilateral triangle whose corners are 1.1 from its centre: within three half-planes, 0.55 away."""
    corner = np.sqrt(0.75)
    edge: Plane = np.maximum.reduce([y, corner * x - y / 2, -corner * x - y / 2]) - 0.55
    return edge


def cross(x: Plane, y: Plane) -> Plane:
    """Two bars of 2 x 0.7 across each other."""
    edge: Plane = np.minimum(np.maximum(abs(x) - 1, abs(y) - 0.35), np.maximum(abs(x) - 0.35, abs(y) - 1))
    return edge


def segment(x: Plane, y: Plane) -> Plane:
    """Distance to the line from (-1, 0) to (1, 0); the clutter's strokes are its surroundings."""
    edge: Plane = np.hypot(x - x.clip(-1, 1), y)
    return edge


SHAPES: dict[str, Shape] = {"disc": disc, "square": square, "triangle": triangle, "cross": cross}

# Areas in units of the radius squared: pi 0.9^2; 1.6^2; 3 sqrt(3) apothem^2; two bars less the square they share.
AREAS = {"disc": np.pi * 0.81, "square": 2.56, "triangle": 27**0.5 * 0.55**2, "cross": 2 * 2 * 0.7 - 0.7**2}


def stripes(x: Plane, y: Plane) -> Plane:
    """Bars along y."""
    return np.sin(7 * x)


def rings(x: Plane, y: Plane) -> Plane:
    """Circles around the centre."""
    shade: Plane = np.sin(9 * np.hypot(x, y))
    return shade


def checks(x: Plane, y: Plane) -> Plane:
    """A chessboard with soft edges."""
    shade: Plane = np.sin(5 * x) * np.sin(5 * y)
    return shade


def slope(x: Plane, y: Plane) -> Plane:
    """Light on one side, dark on the other."""
    return x.clip(-1, 1)


TEXTURES: tuple[Shape, ...] = (rings, checks, stripes, slope)  # a shape's own texture stands at the same place in SHAPES
