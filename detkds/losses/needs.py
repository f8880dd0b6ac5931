"""What a genome needs of the views that not every pair of detectors offers."""

from __future__ import annotations

from detkds.genome import Genome, Knowledge
from detkds.losses.views import Response, Views


def missing(genome: Genome, views: Views) -> str | None:
    """What the views lack for a genome, as a sentence; None where they lack nothing."""
    knowledge = genome.knowledge
    if knowledge.is_feature and not views.student_levels:
        return f"{knowledge} knowledge compares neck levels, but the views have none; have the detector offer them."
    student, teacher = views.student_response, views.teacher_response
    if not knowledge.is_feature and (student is None or teacher is None or not student.scores):
        return f"{knowledge} knowledge compares head responses, but the views have none for both sides."
    if genome.crosses and views.crossed_response is None:
        return "cross reads what the teacher's head makes of the student's head features, but this pair has none; use another transform."
    if (
        knowledge is Knowledge.LOCALIZATION
        and genome.distance == "kl"
        and _no_bins(views.crossed_response if genome.crosses else student, teacher)
    ):
        return "localization kl compares bins of distances, as GFL's head predicts them, but not both heads do; use another distance."
    if knowledge.is_feature and genome.needs_responses and head_levels(views) is None:
        return f"{genome.slots['attention']} reads scores at each cell of the neck's levels, but the views have none; use a dense head."
    if genome.trained_word and genome.trained_word not in views.generated:
        return f"{genome.trained_word} compares levels made by trained modules, but the views have none; have the distiller make them."
    return None


def head_levels(views: Views) -> list[int] | None:
    """For each neck level the index of the responses on the same grid; None where a level has none."""
    student, teacher = views.student_response, views.teacher_response
    if student is None or teacher is None:
        return None
    grids = [(len(scores), *scores.shape[2:]) for scores in teacher.scores]
    found: list[int] = []
    for level in views.teacher_levels:
        grid = (len(level), *level.shape[2:])
        first = found[-1] + 1 if found else 0
        if grid not in grids[first:]:
            return None
        found.append(grids.index(grid, first))
    return found


def _no_bins(student: Response | None, teacher: Response | None) -> bool:
    """Whether either head has no bins, or the two have other ones."""
    if student is None or teacher is None or student.bins is None or teacher.bins is None:
        return True
    return [bins.shape for bins in student.bins] != [bins.shape for bins in teacher.bins]
