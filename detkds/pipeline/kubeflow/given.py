"""A compiled package given by the user, such as the one of DetKDS with images pinned by hand."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from detkds.errors import ConfigError
from detkds.lint import Package
from detkds.pipeline.kubeflow.schema import unknown


def read(path: Path, parameters: Collection[str]) -> str:
    """The text of a compiled pipeline that takes these parameters.

    Args:
        path: of the YAML file.
        parameters: names of those that the run gives.

    Raises:
        ConfigError: the file cannot be read, is not a pipeline of KFP, lacks a parameter, or requires another; one line per fault.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{path}: cannot be read ({reason}); give the file of a compiled pipeline.") from None
    try:
        package = Package.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: is not a pipeline of KFP: {error}") from None
    if faults := unknown(package):
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    _compare(path, package, parameters)
    return text


def _compare(path: Path, package: Package, parameters: Collection[str]) -> None:
    described = package.parameters
    if strange := sorted(set(parameters) - described.keys()):
        raise ConfigError(
            f"{path}: must have every parameter that the run gives, but has no {_listed(strange)}; compile it with this version, "
            "and give a package of the pipeline transfer with --recipe only."
        )
    optional = {name for name, parameter in described.items() if "defaultValue" in parameter or parameter.get("isOptional")}
    if open_ := sorted(described.keys() - optional - set(parameters)):
        raise ConfigError(f"{path}: requires {_listed(open_)}, which a run.yaml does not give; give a default in the package.")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
