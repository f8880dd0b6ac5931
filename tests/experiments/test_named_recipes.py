"""Recipes as the user names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, GenomeError
from detkds.experiments.named_recipes import DEFAULT, NamedRecipe, named_recipes, read_list
from detkds.genome import Recipe
from detkds.genome.presets import preset

TEXT = "global: none > none > norm_batch | l2 x 5"


def of_run(name: str) -> Recipe:
    if name != "bccd":
        raise ArtifactError(f"no run {name!r} was published here.")
    return preset("cwd")


def one(text: str) -> NamedRecipe:
    (found,) = named_recipes([text], "paper", of_run)
    return found


def test_the_default_list_is_none_inherit_and_presets() -> None:
    found = named_recipes(DEFAULT, "paper", of_run)
    assert [(named.name, named.inherit) for named in found[:3]] == [("none", False), ("inherit", True), ("fitnets", None)]
    assert not found[0].recipe.active
    assert not found[1].recipe.active
    assert all(named.recipe == preset(named.name) for named in found[2:])


def test_weights_of_a_preset_can_be_multiplied() -> None:
    """detkds-one-stage has weights of 1 throughout."""
    assert list(one("detkds-one-stage x 2.5").recipe.weights.values()) == [2.5] * 5
    assert one("pkd x 20").name == "pkd x 20"
    assert one("strong=pkd x 20") == NamedRecipe("strong", preset("pkd x 20"))


def test_genome_text_has_semicolons_for_lines_and_may_be_named() -> None:
    found = one(f"mine = {TEXT}; logits: softmax_C | kl".replace(" = ", "="))
    assert found.name == "mine"
    assert [str(genome.knowledge) for genome in found.recipe.genomes] == ["global", "logits"]


def test_genome_text_takes_the_semantics_of_the_run() -> None:
    (found,) = named_recipes([TEXT], "released", of_run)
    assert found.recipe.semantics == "released"


def test_files_and_folders_with_a_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "searched"
    folder.mkdir()
    (folder / "recipe.json").write_text(Recipe.parse(TEXT).dumps())
    (folder / "recipe.txt").write_text(TEXT + "\n")
    named = [one(str(folder)), one(str(folder / "recipe.json")), one(str(folder / "recipe.txt"))]
    assert {named.name for named in named} == {"searched"}
    assert all(named.recipe == Recipe.parse(TEXT) for named in named)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"recipe\.json must hold a recipe"):
        one(str(folder))


def test_a_run_by_its_name() -> None:
    assert one("bccd") == NamedRecipe("bccd", preset("cwd"))
    with pytest.raises(ConfigError, match=r"'pdk' is neither a preset \(fitnets, .* nor a run: no run 'pdk' was published"):
        one("pdk")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("Not A Recipe!", ConfigError, "is not a recipe: give none, inherit, a preset"),
        ("", ConfigError, "'' is not a recipe: give none, inherit, a preset"),
        ("inherit=pkd", ConfigError, "the name inherit is that of training without distillation, got it for 'pkd'"),
        ("pkdd x 2", GenomeError, "did you mean pkd?"),
        ("pkd x 1.2.3", GenomeError, "'1.2.3' is not a weight in 'pkd x 1.2.3'"),
        ("global: cat > none > none | l2", GenomeError, "did you mean catt?"),
    ],
)
def test_what_is_no_recipe_says_why(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        one(text)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 are 'pkd'"):
        named_recipes(["pkd", f"pkd={TEXT}"], "paper", of_run)


def test_a_file_of_recipes(tmp_path: Path) -> None:
    path = tmp_path / "recipes.txt"
    path.write_text(f"# a comparison\nnone\n\npkd x 5   # few labels\nmine={TEXT}\n")
    assert read_list(path) == ["none", "pkd x 5", f"mine={TEXT}"]
    with pytest.raises(ConfigError, match="--recipes-from"):
        read_list(tmp_path / "absent.txt")
    path.write_text("# none yet\n")
    with pytest.raises(ConfigError, match=r"--recipes-from .*recipes\.txt must hold a recipe a line, but holds none"):
        read_list(path)
