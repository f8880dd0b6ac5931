"""Secrets have no place in a package: it is stored, shown in the UI and copied into every pod."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from detkds.lint.package import Finding, Package

_NAMES = re.compile(r"(?i)(secret|password|passwd|token|credential|access_?key|api_?key)")
_VALUES = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[0-9A-Za-z]{36,}\b"),
    "a token of GitLab": re.compile(r"\bglpat-[0-9A-Za-z_-]{20,}"),
    "a JSON web token": re.compile(r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}"),
    "a key of a service account": re.compile(r'"type":\s*"service_account"'),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+]*://[^/\s:@'\"]+:[^/\s:@'\"]+@"),
    "the well-known key of MinIO": re.compile(r"\bminio123\b|\bminioadmin\b"),
}


def secrets(package: Package, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that look like secrets, in the package's text, in the environment of its tasks and in the arguments of the run."""
    yield from _values("package", package.text)
    for name, value in arguments.items():
        yield from _values(f"argument {name}", str(value))
    for name, parameter in package.parameters.items():
        if _NAMES.search(name) and parameter.get("defaultValue"):
            yield Finding("secret", f"parameter {name}", "a parameter with the name of a secret may have no default; use a Secret.")
    for task in package.tasks():
        for entry in task.container.get("env", []):
            if _NAMES.search(str(entry.get("name"))) and entry.get("value"):
                message = f"{entry['name']} is set to a value; use kubernetes.use_secret_as_env."
                yield Finding("secret", f"task {task.name}", message)


def _values(where: str, text: str) -> Iterator[Finding]:
    """The value itself is not repeated: what finds secrets must not print them."""
    for kind, pattern in _VALUES.items():
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Finding("secret", where, f"line {line} holds what looks like {kind}; take it out and use a Secret.")
