"""The studies of a search as one artifact: a folder a study, each an artifact of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from detkds.storage.artifacts import publishing, verify
from detkds.storage.manifest import MANIFEST

KIND = "studies"


@contextmanager
def gathering(studies: Sequence[Path], out: Path) -> Iterator[Path]:
    """Publish studies at `out` together with the one that the block publishes at the place it is given.

    Raises:
        ArtifactError: a study is not whole.
    """
    with publishing(out, kind=KIND) as folder:
        for number, study in enumerate(studies, start=1):
            verify(study)
            shutil.copytree(study, folder / f"study-{number}")
        yield folder / f"study-{len(studies) + 1}"


def gathered(artifact: Path) -> list[Path]:
    """The studies in it, in the order in which they were conducted.

    Raises:
        ArtifactError: the artifact is not whole.
    """
    verify(artifact, KIND)
    return sorted(path.parent for path in artifact.glob(f"*/{MANIFEST}"))
