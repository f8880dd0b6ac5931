"""run.yaml as a typed model. Every error of a file is reported at once, each with its place, rule and value."""

from detkds.pipeline.run_config.address import is_remote
from detkds.pipeline.run_config.data import Data, Split, Unlabelled
from detkds.pipeline.run_config.detector import Detector, Student, Teacher, TeacherTraining
from detkds.pipeline.run_config.faults import did_you_mean, validated
from detkds.pipeline.run_config.file import load, load_plugins
from detkds.pipeline.run_config.place import Resources, StoreSection
from detkds.pipeline.run_config.run import RunConfig
from detkds.pipeline.run_config.search import FinalRace, Search, Weights
from detkds.pipeline.run_config.train import Train

__all__ = [
    "Data",
    "Detector",
    "FinalRace",
    "Resources",
    "RunConfig",
    "Search",
    "Split",
    "StoreSection",
    "Student",
    "Teacher",
    "TeacherTraining",
    "Train",
    "Unlabelled",
    "Weights",
    "did_you_mean",
    "is_remote",
    "load",
    "load_plugins",
    "validated",
]
