"""Compile the pipelines into detkds/compiled/, where the wheel carries them; with --check only compare.

usage: python -m pipelines.compile [--check]
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

from kfp import compiler

from pipelines.search import search
from pipelines.transfer import transfer

COMPILED = Path(__file__).resolve().parents[1] / "detkds" / "compiled"
PIPELINES = {"search": search, "transfer": transfer}


def compile_into(folder: Path) -> None:
    """Write one YAML file a pipeline."""
    for name, pipeline in PIPELINES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiler.Compiler().compile(pipeline, str(folder / f"{name}.yaml"))


def differing() -> list[str]:
    """Names of the compiled pipelines that differ from what the code compiles to."""
    with tempfile.TemporaryDirectory() as scratch:
        compile_into(Path(scratch))
        return [name for name in PIPELINES if _read(Path(scratch), name) != _read(COMPILED, name)]


def _read(folder: Path, name: str) -> str:
    path = folder / f"{name}.yaml"
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    if "--check" not in sys.argv:
        COMPILED.mkdir(exist_ok=True)
        compile_into(COMPILED)
    elif stale := differing():
        sys.exit(f"detkds/compiled is stale for {', '.join(stale)}: run `python -m pipelines.compile` and commit the result")
