"""A plugin for DetKDS in one file: a distance, a transform and the reader of a head."""

import torch

import detkds
from detkds.detectors.heads.cells import Cells

DELTA = 1.0


@detkds.distance(
    "pseudo_huber",
    formula=r"mean of $\delta^2 \left( \sqrt{1 + \left( \frac{s - t}{\delta} \right)^2} - 1 \right)$, $\delta = 1$",
    folds=["by_position", "by_entry"],
)
def pseudo_huber(student, teacher):
    """Quadratic for small differences, linear for large ones, and smooth in between; a value for each position."""
    return DELTA**2 * ((1 + ((student - teacher) / DELTA).square()).sqrt() - 1)


@detkds.transform("signed_root", formula=r"$\operatorname{sign}(f) \cdot (\sqrt{\left| f \right| + 1} - 1)$", slot="norm")
def signed_root(f):
    """Takes strength from the largest activations and keeps their sign."""
    return torch.sign(f) * ((f.abs() + 1).sqrt() - 1)


@detkds.head("CenterScaledRetinaHead")
class CenterScaledRetina(Cells):
    """Reads a head of your own that returns what RetinaNet's does, with class logits that are twice as large."""

    def scores(self, outputs):
        """(N, A, K, H, W) in [0, 1]."""
        return super().scores((outputs[0] / 2, *outputs[1:]))
