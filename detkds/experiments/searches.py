"""Whole searches for the ablations: each knowledge, then the weights, in the paper's way or without one of its parts (Tables 11 to 13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from detkds.errors import Rejected
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import SCORES, Answer, Goal, Job, Outcome
from detkds.pipeline.cohorts import Cohorts
from detkds.pipeline.evolve import candidates, designer, in_units, space_of
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.settings import SearchPlan, WeightsPlan
from detkds.pipeline.studies import conduct
from detkds.pipeline.task import WEIGHTS, Task
from detkds.pipeline.weights import POOL_RATIO, TOP_K
from detkds.pipeline.weights import candidates as weight_candidates
from detkds.search.budget import Budgeted
from detkds.search.designer import Designer
from detkds.search.joint import JointEvolution
from detkds.search.sampling import Sampling
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.study import Study
from detkds.search.trial import Trial, best_of
from detkds.search.weights import WeightSearch

SLACK = 5
"""A budget counts what was trained, so a search may ask this many times as many candidates where it has to replace rejected ones."""


@dataclass(frozen=True)
class Variant:
    """A row of Table 12.

    Args:
        name: for people.
        algorithm: one of `evolve.ALGORITHMS`.
        divide: each knowledge by itself, then the weights; else all at once, by evolution.
        loss_filter: whether losses are tried on a probe batch before a candidate is trained.
    """

    name: str
    algorithm: str = "evolution"
    divide: bool = True
    loss_filter: bool = True


VARIANTS = (
    Variant("evolution"),
    Variant("mcts", "mcts"),
    Variant("random", "random"),
    Variant("tpe", "tpe"),
    Variant("no-divide", divide=False),
    Variant("no-filter", loss_filter=False),
)
"""Table 12, and Optuna's TPE."""


class Remembering(Proxy):
    """A proxy that trains no candidate twice, whichever search requests it; each search sees the full cost. Validations are not stopped
    early, because one search may need in full what another needs only a bound of."""

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        """Train and score candidates, or remember them."""
        known: dict[str, Answer] = self.__dict__.setdefault("_known", {})
        names = [self.identify(recipe) for recipe, _ in jobs]
        fresh = {name: (recipe, Goal()) for name, (recipe, _) in zip(names, jobs, strict=True) if name not in known}
        found = dict(zip(fresh, super().together(list(fresh.values())), strict=True)) if fresh else {}
        known |= {name: answer for name, answer in found.items() if isinstance(answer, Outcome | Rejected)}
        return [(known | found)[name] for name in names]


@dataclass(frozen=True)
class Searched:
    """A finished search: its studies in their order, that over the weights last."""

    studies: tuple[Study, ...]

    @property
    def word(self) -> str:
        """What its scores are."""
        return SCORES[self.studies[0].scored_by]

    @property
    def recipe(self) -> Recipe:
        """The best candidate of all; no distillation where that is best."""
        best = best_of(trial for study in self.studies for trial in study.trials)
        return Recipe(best.recipe.active, best.recipe.semantics) if best else Recipe()

    def trials(self) -> Iterator[Trial]:
        """All candidates in the order in which they were asked; no distillation once."""
        for place, study in enumerate(self.studies):
            yield from study.trials[min(place, 1) :]

    def curve(self) -> list[tuple[int, float]]:
        """Figure 4: student steps spent, and the best score so far, whenever that changes, and at the end."""
        points: list[tuple[int, float]] = []
        spent = 0
        for trial in self.trials():
            spent += trial.student_steps
            if trial.score is not None and (not points or trial.score > points[-1][1]):
                points.append((spent, trial.score))
        return [*points, (spent, points[-1][1])] if points else []

    def to_json(self) -> dict[str, Any]:
        """What the search cost and found."""
        trials = list(self.trials())
        return {
            "recipe": str(self.recipe),
            f"search_val_{self.word}": max((trial.score for trial in trials if trial.score is not None), default=None),
            f"no_distillation_{self.word}": self.studies[0].baseline,
            "candidates": len(trials),
            "rejected": sum(trial.score is None for trial in trials),
            "student_steps": sum(trial.student_steps for trial in trials),
            "seconds": round(sum(study.total_seconds for study in self.studies), 1),
            "curve": [list(point) for point in self.curve()],
        }


@dataclass(frozen=True)
class VariantSearch:
    """What the searches of an ablation share.

    Args:
        plan, weights: budgets and readings.
        knowledges: those that are searched and that the pair can share.
        seed: of search and training.
    """

    plan: SearchPlan
    weights: WeightsPlan
    knowledges: tuple[Knowledge, ...]
    seed: int

    def search(self, variant: Variant, proxy: Proxy) -> Searched:
        """A whole search at the budget that the paper's has where nothing is rejected: P + 2T candidates for each knowledge, and those of
        the weights."""
        steps = proxy(Recipe(semantics=self.plan.semantics), Goal()).student_steps
        single = (self.plan.population + 2 * self.plan.iterations) * steps
        last = (self.weights.population + self.weights.iterations) * steps
        if not variant.divide:
            return Searched((self._joint(variant, proxy, single * len(self.knowledges) + last),))
        plan = replace(self.plan, algorithm=variant.algorithm, iterations=SLACK * self.plan.iterations)
        singles = [self.single(knowledge, plan, proxy, single) for knowledge in self.knowledges]
        return Searched((*singles, *self.weigh([study.trials for study in singles], proxy, last)))

    def single(self, knowledge: Knowledge, plan: SearchPlan, proxy: Proxy, budget: int = 0) -> Study:
        """The study of one knowledge; a budget of 0 is none."""
        asking: Designer = designer(knowledge, plan, self.seed, proxy)
        return self._conduct(
            f"{plan.algorithm} {knowledge}",
            str(knowledge),
            asking,
            proxy,
            {"plan": plan},
            budget,
            expected=candidates(self.plan if budget else plan),
        )

    def weigh(self, singles: Sequence[Sequence[Trial]], proxy: Proxy, budget: int = 0) -> list[Study]:
        """The study of the weights of each study's best loss; none where no study has any."""
        losses = [best_of(trial for trial in trials if trial.recipe.active) for trials in singles]
        genomes: list[Genome] = [trial.recipe.genomes[0] for trial in losses if trial]
        if not genomes:
            return []
        known = {proxy.identify(trial.recipe): trial for trials in singles for trial in reversed(trials) if trial.score is not None}
        iterations = self.weights.iterations * (SLACK if budget else 1)
        plan = self.weights
        settings = SearchSettings(plan.population, iterations, POOL_RATIO, min(TOP_K, plan.population), plan.iterations_at_once)
        asking = WeightSearch(genomes, self._space, settings, self.seed)
        how = {"genomes": [str(genome) for genome in genomes], "plan": self.weights}
        return [
            self._conduct(
                "search weights", WEIGHTS, asking, proxy, how, budget, known, expected=weight_candidates(self.weights, len(genomes))
            )
        ]

    def sample(self, genomes: int, proxy: Proxy) -> Study:
        """Random genomes until so many have a score (Figure 5)."""
        asking = Sampling(self._space, self.knowledges, genomes, self.seed)
        return self._conduct("sampling genomes", "sampling", asking, proxy, {"genomes": genomes}, expected=1 + genomes)

    @property
    def _space(self) -> SearchSpace:
        return space_of(self.plan)

    def _joint(self, variant: Variant, proxy: Proxy, budget: int) -> Study:
        plan = replace(self.plan, iterations=SLACK * len(self.knowledges) * (self.plan.iterations + self.plan.population))
        settings = SearchSettings(plan.population, plan.iterations, plan.sample_ratio, plan.top_k)
        asking = JointEvolution(self._space, self.knowledges, settings, self.seed)
        expected = 1 + len(self.knowledges) * (candidates(self.plan) - 1) + self.weights.population + self.weights.iterations
        return self._conduct("search jointly", "joint", asking, proxy, {"plan": plan}, budget, expected=expected)

    def _conduct(
        self,
        title: str,
        name: str,
        asking: Designer,
        proxy: Proxy,
        how: Mapping[str, Any],
        budget: int = 0,
        known: Mapping[str, Trial] | None = None,
        *,
        expected: int,
    ) -> Study:
        """Conduct a study; `expected` is how many candidates it has, where none of a budget's is rejected."""
        answered = sorted(known or ())
        settings = {"variant_search": asdict(self), "study": name, "budget": budget, **how, "known": answered, **proxy.identity}
        task = Task(name, expected, tuple(map(str, self.knowledges)))
        asked = in_units(Budgeted(asking, budget) if budget else asking, self.plan, proxy)
        return conduct(title, task, asked, proxy, settings, known=known, workers=Cohorts(proxy, self.plan.cohort)).study
