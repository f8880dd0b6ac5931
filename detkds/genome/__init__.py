"""The vocabulary of the project: Knowledge, Genome, Recipe. Imports no torch."""

from detkds.genome.vocabulary import SLOTS, WEIGHTS, Knowledge  # first: the words register themselves

# isort: split
from detkds.genome.canonical import canonical
from detkds.genome.genome import Genome
from detkds.genome.recipe import Recipe

__all__ = ["SLOTS", "WEIGHTS", "Genome", "Knowledge", "Recipe", "canonical"]
