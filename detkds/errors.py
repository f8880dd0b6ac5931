"""Every error that DetKDS raises on purpose, in one tree.

Each class carries an exit code of the command line. A message names the thing, the rule it broke and the remedy, on one line.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command says of itself by its exit code; docs/exit-codes.md has the table."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    STILL_RUNNING = 3
    CANCELLED = 4
    DATA = 65
    OURS = 70
    TRY_AGAIN = 75
    INTERRUPTED = 130


class DetKDSError(Exception):
    """Base of all errors of this project."""

    exit_code: int = ExitCode.OURS


class ConfigError(DetKDSError):
    """A run.yaml, an option or a detector config cannot be used as given."""

    exit_code = ExitCode.USAGE


class GenomeError(ConfigError):
    """A genome or recipe text does not parse or names an unknown word."""


class DatasetError(DetKDSError):
    """A data set breaks rules of the COCO format or of safe paths."""

    exit_code = ExitCode.DATA


class ArtifactError(DetKDSError):
    """An artifact, checkpoint or journal is missing, truncated or altered."""

    exit_code = ExitCode.DATA


class StoreError(DetKDSError):
    """The object store cannot be reached or refuses."""

    exit_code = ExitCode.TRY_AGAIN


class ClusterError(DetKDSError):
    """The API of Kubeflow Pipelines cannot be reached or refuses; `final` where asking again changes nothing."""

    exit_code = ExitCode.TRY_AGAIN

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class StudyHeldError(DetKDSError):
    """Another process holds this study."""

    exit_code = ExitCode.TRY_AGAIN


class Interrupted(DetKDSError):
    """SIGTERM stopped a training; its checkpoint is written and the same call resumes from there."""

    exit_code = ExitCode.TRY_AGAIN


class Stopped(DetKDSError):
    """Ctrl-C ended a run; the message says what is kept and how to resume."""

    exit_code = ExitCode.INTERRUPTED


class RunFailed(DetKDSError):
    """A task of a run ended with an error that is not one of ours; the message has its last line."""

    exit_code = ExitCode.RUN_FAILED


class Rejected(DetKDSError):
    """A candidate cannot work; the search records the reason and continues.

    `kind` is one word of the journal: nan, infinite, too-large, zero-gradient, ascending, unsupported,
    exploding, out-of-memory, raised.
    `student_steps` is what was trained in vain.
    """

    exit_code = ExitCode.RUN_FAILED

    def __init__(self, kind: str, detail: str, student_steps: int = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.student_steps = student_steps

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str, int]]:
        """So that it comes whole from another process."""
        return Rejected, (self.kind, self.detail, self.student_steps)
