"""The losses: the recipe that was named, and what this pair of detectors can share."""

from __future__ import annotations

from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.pipeline.preflight.facts import Facts
from detkds.unlabelled import Unlabelled


def recipe(facts: Facts) -> None:
    if facts.recipe:
        from detkds.genome.presets import is_preset, preset

        text = facts.recipe.strip()
        facts.losses = preset(text) if is_preset(text) else Recipe.parse(text, facts.config.search.semantics)


def knowledge(facts: Facts) -> None:
    """What is searched or trained with must be something that this pair shares."""
    from detkds.detectors.distiller import DistilledDetector
    from detkds.detectors.normalization import show_scaled
    from detkds.detectors.sharing import supported

    if set(facts.detectors) != {"teacher", "student"}:
        return
    student, teacher = facts.detectors["student"], facts.detectors["teacher"]
    show_scaled(teacher, facts.config.teacher.scale)
    if not facts.whole:
        return
    if facts.recipe:
        if facts.losses is not None:
            _require_use(facts.losses, facts.schedule().unlabelled)
            DistilledDetector(student, teacher, facts.losses, facts.schedule().unlabelled)
        return
    reasons = supported(student, teacher)
    searched = facts.config.search.knowledge
    if faults := [f"search.knowledge: {name} cannot be searched: {reasons[name]}" for name in searched if reasons[name]]:
        raise ConfigError("\n".join(faults))


def _require_use(recipe: Recipe, use: Unlabelled | None) -> None:
    """Refuse a recipe that has losses and takes none of them of the images without labels."""
    losses = [str(genome.knowledge) for genome in recipe.active]
    if use and losses and not any(map(use.uses, losses)):
        raise ConfigError(
            f"data.unlabelled.knowledge has none of the recipe's losses ({', '.join(losses)}); add one, or leave data.unlabelled out."
        )
