"""Every error that DetKDS raises on purpose, in one tree.

Each class carries the exit code of the command line: 2 usage or configuration, 65 bad data or artifact, 75 try again later,
70 a fault of ours. A message names the thing, the rule it broke and the remedy, on one line.
"""

from __future__ import annotations


class DetKDSError(Exception):
    """Base of all errors of this project."""

    exit_code = 70


class ConfigError(DetKDSError):
    """A run.yaml, an option or a detector config cannot be used as given."""

    exit_code = 2


class GenomeError(ConfigError):
    """A genome or recipe text does not parse or names an unknown word."""


class DatasetError(DetKDSError):
    """A data set breaks rules of the COCO format or of safe paths."""

    exit_code = 65


class ArtifactError(DetKDSError):
    """An artifact, checkpoint or journal is missing, truncated or altered."""

    exit_code = 65


class StoreError(DetKDSError):
    """The object store cannot be reached or refuses."""

    exit_code = 75


class ClusterError(DetKDSError):
    """The API of Kubeflow Pipelines cannot be reached or refuses; `final` where asking again changes nothing."""

    exit_code = 75

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class StudyHeldError(DetKDSError):
    """Another process holds this study."""

    exit_code = 75


class Interrupted(DetKDSError):
    """SIGTERM stopped a training; its checkpoint is written and the same call goes on from there."""

    exit_code = 75


class Rejected(DetKDSError):
    """A candidate cannot work; the search records the reason and goes on.

    `kind` is one word of the journal: nan, infinite, too-large, zero-gradient, ascending, unsupported,
    out-of-memory, raised.
    `student_steps` is what was trained in vain.
    """

    def __init__(self, kind: str, detail: str, student_steps: int = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.student_steps = student_steps

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str, int]]:
        """So that it comes whole from another process."""
        return Rejected, (self.kind, self.detail, self.student_steps)
