"""Fetch what a run published."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from detkds import launch, results
from detkds.errors import ConfigError


def pull(run: str, store: str, to: Path | None, home: Path, console: Console) -> None:
    """Fetch the results of a run, verified, into a folder that is not there yet, and list them."""
    home = home.resolve()
    with launch.store(home, console) as environment:
        launch.use(home, environment)
        name, place = results.fetch(run, f"{store}/runs", home / "runs")
    target = to or Path(name)
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target} exists and is not empty; name another folder with --to.")
    shutil.copytree(place, target, dirs_exist_ok=True)
    for path in sorted(target.iterdir()):
        console.print(f"{path}  {path.stat().st_size:,} bytes", markup=False, soft_wrap=True)
