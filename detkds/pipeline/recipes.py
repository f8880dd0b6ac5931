"""Recipes as the stages hand them on: in an artifact, or as text. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path

from detkds import plugins
from detkds.errors import ArtifactError, GenomeError
from detkds.genome import Recipe, presets
from detkds.storage.artifacts import verify


def recipe_of(artifact: Path) -> Recipe:
    """The recipe of a weights, study or model artifact.

    Raises:
        ArtifactError: the artifact is not whole, or holds no recipe.
    """
    plugins.inherit()
    verify(artifact)
    try:
        return Recipe.from_json(json.loads((artifact / "recipe.json").read_text()))
    except (OSError, ValueError, GenomeError) as error:
        raise ArtifactError(f"artifact {artifact} holds no recipe that can be read: {error}") from None


def parse_recipe(text: str, semantics: str) -> Recipe:
    """A recipe from a preset, `NAME` or `NAME x FACTOR`, or from genome text with the words of plugins too; empty text is no distillation.

    Raises:
        GenomeError: the text is neither.
    """
    plugins.inherit()
    return presets.parse_recipe(text, semantics)
