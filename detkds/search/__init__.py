"""The search: Alg. 1 of the paper as ask and tell, and the study that drives it. Imports no torch."""

from detkds.objective import Goal, Objective, Outcome
from detkds.search.baselines import RandomSearch
from detkds.search.budget import Budgeted
from detkds.search.designer import Designer
from detkds.search.evolution import Evolution
from detkds.search.function_study import study
from detkds.search.history import History
from detkds.search.joint import JointEvolution
from detkds.search.journal import Journal
from detkds.search.mcts import MonteCarloTreeSearch
from detkds.search.sampling import Sampling
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.study import Study, run
from detkds.search.tpe import TreeParzenSearch
from detkds.search.trial import Trial, TrialState
from detkds.search.weights import WeightSearch

__all__ = [
    "Budgeted", "Designer", "Evolution", "Goal", "History", "JointEvolution", "Journal", "MonteCarloTreeSearch", "Objective", "Outcome",
    "RandomSearch", "Sampling", "SearchSettings", "SearchSpace", "Study", "TreeParzenSearch", "Trial", "TrialState", "WeightSearch",
    "run", "study",
]  # fmt: skip
