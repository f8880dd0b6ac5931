"""A search with an objective of your own: a plain function from a recipe to a score."""

import torch

import detkds

student, teacher = torch.randn(2, 2, 32, 16, 16)


def direction(recipe: detkds.Recipe) -> float:
    """How well a loss points from the student's features to the teacher's: the cosine of its descent direction to their difference."""
    features = student.clone().requires_grad_()
    if not recipe.active:
        return 0.0
    detkds.loss(recipe, features, teacher).backward()
    return torch.cosine_similarity(-features.grad.flatten(), (teacher - student).flatten(), dim=0).item()


found = detkds.study("global", direction, population=6, iterations=4, journal="direction.jsonl")
print(found.best_distilled)
print(found.trials_table())
