"""What the transform words mean, a file for each slot. Importing it attaches the functions to their words."""

from detkds.losses.transforms import attention, normalise, response, scale, sound

__all__ = ["attention", "normalise", "response", "scale", "sound"]
