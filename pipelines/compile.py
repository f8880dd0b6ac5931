"""Compile the pipelines into detkds/compiled/, where the wheel carries them; with --check only compare.

Options that name what tasks ask of the cluster (--gpu-product, --data-volume …) make packages of your own, in the folder of --out.

usage: python -m pipelines.compile [--check]
       python -m pipelines.compile --out mine --image registry.example.org/detkds@sha256:… --gpu-product NVIDIA-H100-80GB-HBM3
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import warnings
from dataclasses import asdict, fields
from pathlib import Path

from kfp import compiler

from pipelines.resources import Resources

COMPILED = Path(__file__).resolve().parents[1] / "detkds" / "compiled"
NAMES = ("search", "transfer")


def compile_into(folder: Path) -> None:
    """Write one YAML file a pipeline."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # kfp builds a pipeline when its module is imported: after the resources were chosen
        from pipelines.search import search
        from pipelines.transfer import transfer

        for name, pipeline in zip(NAMES, (search, transfer), strict=True):
            compiler.Compiler().compile(pipeline, str(folder / f"{name}.yaml"))


def differing() -> list[str]:
    """Names of the compiled pipelines that differ from what the code compiles to."""
    with tempfile.TemporaryDirectory() as scratch:
        compile_into(Path(scratch))
        return [name for name in NAMES if _read(Path(scratch), name) != _read(COMPILED, name)]


def _read(folder: Path, name: str) -> str:
    path = folder / f"{name}.yaml"
    return path.read_text() if path.exists() else ""


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command line: one option for each field of Resources, described as there."""
    parser = argparse.ArgumentParser(description="Compile the pipelines.")
    parser.add_argument("--check", action="store_true", help="only say whether detkds/compiled is what the code compiles to")
    parser.add_argument("--out", type=Path, help="folder that receives the packages; detkds/compiled where nothing is chosen")
    described = dict(re.findall(r"^ +(\w+): (.+)$", Resources.__doc__ or "", re.MULTILINE))
    for field in fields(Resources):
        name, default = field.name.replace("_", "-"), field.default
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{described[field.name]} (default: {default!r})")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Compile, or compare."""
    options = arguments(given)
    resources = Resources(**{name: getattr(options, name) for name in asdict(Resources())})
    if resources != Resources() and (options.check or options.out is None):
        sys.exit("what tasks ask for was chosen: name the folder of the packages with --out; detkds/compiled holds the defaults")
    os.environ |= resources.environment()
    out = options.out or COMPILED
    if not options.check:
        out.mkdir(parents=True, exist_ok=True)
        compile_into(out)
    elif stale := differing():
        sys.exit(f"detkds/compiled is stale for {', '.join(stale)}: run `make golden` and commit the result")


if __name__ == "__main__":
    main()
