"""A repaired copy of a faulty annotation file: what is kept, clipped or dropped. `repair` is the one call."""

from detkds.data.repair.draft import Change
from detkds.data.repair.repair import BARE, NOTHING_NAMED, Named, Repaired, repair

__all__ = ["BARE", "NOTHING_NAMED", "Change", "Named", "Repaired", "repair"]
