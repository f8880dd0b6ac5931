"""A distance of your own: its value and gradient, and a search that chooses between it and the paper's words."""

import torch

import detkds

student, teacher = torch.randn(2, 8, 16, 16, requires_grad=True), torch.randn(2, 8, 16, 16)


@detkds.distance("pseudo_huber", formula=r"mean of $\sqrt{1 + (s - t)^2} - 1$")
def pseudo_huber(student, teacher):
    """Quadratic for small differences, linear for large ones; one value per position."""
    return (1 + (student - teacher).square()).sqrt() - 1


def direction(recipe: detkds.Recipe) -> float:
    """The cosine between the descent direction of a loss and the difference to the teacher's features."""
    slope = torch.autograd.grad(detkds.loss(recipe, student, teacher), student)[0] if recipe.active else torch.zeros_like(student)
    return torch.cosine_similarity(-slope.flatten(), (teacher - student).detach().flatten(), dim=0).item()


print(detkds.loss("global: catt > none > none | pseudo_huber x 2", student, teacher))
found = detkds.study("global", direction, population=20, iterations=10)
print(found.best_distilled)
print([row["candidate"] for row in found.rows() if "pseudo_huber" in row["candidate"]])
