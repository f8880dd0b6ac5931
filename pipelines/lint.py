"""Check compiled pipelines against KFP's own protocol buffers and against the rules of detkds.lint.

usage: python -m pipelines.lint [--digest] [FILE ...]      (without a file: the pipelines of detkds/compiled)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detkds.errors import ConfigError
from detkds.lint import Finding, ImagePolicy, Package, examine
from detkds.pipeline.kubeflow.schema import unknown
from pipelines.compile import COMPILED


def lint(text: str, *, digest: bool = False) -> list[Finding]:
    """Every broken rule of a compiled pipeline; where KFP cannot read it, only that.

    Args:
        text: the package as YAML.
        digest: whether images must be named by digest.

    Raises:
        ConfigError: the text is not a package.
    """
    package = Package.parse(text)
    return unknown(package) or examine(package, images=ImagePolicy(digest))


def main(given: list[str] | None = None) -> int:
    """Print one line per finding; returns 1 where there is one, 2 where a file is not a package."""
    parser = argparse.ArgumentParser(description="Check compiled pipelines.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--digest", action="store_true", help="demand images named by digest")
    options = parser.parse_args(given)
    found = 0
    for path in options.files or sorted(COMPILED.glob("*.yaml")):
        try:
            findings = lint(path.read_text(), digest=options.digest)
        except (OSError, ConfigError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for finding in findings:
            print(f"{path}: {finding}", file=sys.stderr)
        found += len(findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
