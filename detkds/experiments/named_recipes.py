"""Recipes as the user names them for a comparison."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from detkds.errors import ArtifactError, ConfigError, GenomeError
from detkds.experiments.comparison import INHERIT, NONE, REFERENCES
from detkds.genome import Recipe
from detkds.genome.presets import is_preset, preset
from detkds.genome.presets import names as preset_names

DEFAULT = (NONE, INHERIT, "fitnets", "pkd", "cwd", "detkds-one-stage")
_TITLED = re.compile(r"([A-Za-z0-9][A-Za-z0-9 ._-]{0,39})=(.+)", re.DOTALL)
_WITHOUT = re.compile(r"(.+?)\s+without unlabelled", re.DOTALL)
_RUN = re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?")


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe of a comparison.

    Args:
        name: for people.
        recipe: its losses.
        inherit: whether the student's neck and head start from the teacher's; None: as the run says.
        unlabelled: whether its losses are taken of the run's images without labels too, where there are some.
    """

    name: str
    recipe: Recipe
    inherit: bool | None = None
    unlabelled: bool = True


def named_recipes(texts: Iterable[str], semantics: str, of_run: Callable[[str], Recipe]) -> list[NamedRecipe]:
    """The recipes that texts name: [NAME=] and one of

    * none: no distillation, nothing of the teacher; inherit: no distillation, neck and head start from the teacher's;
    * a preset, with its published weights, or `PRESET x N`, see `presets.preset`;
    * genome text, several losses apart by ; or lines;
    * a file or folder with a recipe (recipe.json, recipe.txt, or an artifact that has one);
    * the name of a published run.

    ` without unlabelled` behind it leaves the run's images without labels out of its training.

    Args:
        texts: as above.
        semantics: of genome text.
        of_run: fetches the recipe of a run.

    Raises:
        ConfigError: a text is none of these, or two have one name.
        ArtifactError: a file holds no recipe, or there is no such run.
    """
    found = [_named_recipe(text.strip(), semantics, of_run) for text in texts]
    names = [one.name for one in found]
    if shared := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(
            f"recipes of a comparison must have different names, but {names.count(shared)} are {shared!r}; write NAME=RECIPE."
        )
    return found


def read_list(path: Path) -> list[str]:
    """Recipe texts of a file, one per line; empty lines and # comments carry nothing.

    Raises:
        ConfigError: the file cannot be read, or holds none.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--recipes-from {path} cannot be read: {error}; give a text file with a recipe a line.") from None
    if not (texts := [text for line in lines if (text := line.partition("#")[0].strip())]):
        raise ConfigError(f"--recipes-from {path} must hold a recipe a line, but holds none; write some, or leave the option out.")
    return texts


def _named_recipe(text: str, semantics: str, of_run: Callable[[str], Recipe]) -> NamedRecipe:
    if labelled := _WITHOUT.fullmatch(text):
        found = _named_recipe(labelled[1], semantics, of_run)
        titled = _TITLED.fullmatch(text)
        return replace(found, name=found.name if titled else f"{found.name} without unlabelled", unlabelled=False)
    titled = _TITLED.fullmatch(text)
    name, what = (titled[1], titled[2].strip()) if titled else (text, text)
    if name in REFERENCES and what != name:
        raise ConfigError(f"the name {name} is that of training without distillation, got it for {what!r}; choose another.")
    if what in REFERENCES:
        return NamedRecipe(name, Recipe(semantics=semantics), what == INHERIT)
    if is_preset(what):
        return NamedRecipe(name, preset(what))
    if ":" in what and not what.startswith("s3://"):
        return NamedRecipe(name, Recipe.parse(what, semantics))
    if what and Path(what).exists():
        return NamedRecipe(name if titled else _name(Path(what)), _of_file(Path(what), semantics))
    if not _RUN.fullmatch(what):
        raise ConfigError(f"{what!r} is not a recipe: give none, inherit, a preset, genome text, a file, or the name of a run.")
    try:
        return NamedRecipe(name, of_run(what))
    except ArtifactError as error:
        raise ConfigError(f"{what!r} is neither a preset ({', '.join(preset_names())}), nor a file, nor a run: {error}") from None


def _name(path: Path) -> str:
    """Of recipe.json the folder says more."""
    return path.parent.name if path.stem == "recipe" and path.parent.name else path.stem


def _of_file(path: Path, semantics: str) -> Recipe:
    file = path / "recipe.json" if path.is_dir() else path
    try:
        text = file.read_text()
        return Recipe.from_json(json.loads(text)) if file.suffix == ".json" else Recipe.parse(text, semantics)
    except (OSError, ValueError, GenomeError) as error:
        raise ArtifactError(f"{file} must hold a recipe, but cannot be read as one: {error}") from None
