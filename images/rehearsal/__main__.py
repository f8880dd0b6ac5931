"""Run the six stages in containers of the built images, one container a task, as the compiled pipeline and KFP's driver start them.

A container has user 1000, a read-only root with an empty /tmp, no capability and no new privileges. Its network is a loopback that it
shares with one other container: the store, which runs from the full image too. Artifacts are in a volume at /s3, where KFP's launcher
would put them. Nothing is left behind, and nothing is needed here but Python and docker or podman.

usage: python -m images.rehearsal [--image detkds:TAG] [--light-image detkds-light:TAG] [--flags "--gpus all"]
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.build import ROOT, engine, run, version
from images.rehearsal.driver import Driver, mounted

RIGHTS = ["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/tmp:mode=1777"]


@contextmanager
def volume(program: str, name: str, image: str) -> Iterator[list[str]]:
    """The beginning of every task's command line, while the volume of the artifacts lives; containers that use it go with it."""
    command = [program, "run", "--rm", "--pull", "never", "--volume", f"{name}:/s3"]
    try:
        run([*command, "--network", "none", "--user", "0", image, "chmod", "1777", "/s3"])  # the engine chooses whose a new volume is
        yield [*command, *RIGHTS]
    finally:
        look = [program, "ps", "--all", "--quiet", "--filter", f"volume={name}"]
        left = subprocess.run(look, capture_output=True, text=True).stdout.split()  # a task that was going on when this was interrupted
        subprocess.run([program, "rm", "--force", *left], capture_output=True)
        subprocess.run([program, "volume", "rm", "--force", name], capture_output=True)


@contextmanager
def world(name: str, image: str, container: list[str]) -> Iterator[dict[str, Any]]:
    """What tasks are given, while the container of the store lives."""
    configs = {role: (ROOT / "examples" / "configs" / f"demo_{role}.yaml").read_text() for role in ("teacher", "student")}
    script = Path(__file__).with_name("world.py").read_text()
    command = [*container, "--name", name, "--network", "none", image, "python3", "-c", script, json.dumps(configs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                sys.exit(f"the store in {image} ended with code {process.wait()}; the lines above say why")
            yield json.loads(said)
        finally:
            subprocess.run([container[0], "kill", name], capture_output=True)


def perform(driver: Driver, task: str, container: list[str], store: str) -> None:
    """Run one task to its end, and look at what it left; stops with the end of its log where it fails."""
    started = time.monotonic()
    execution = driver.execution(task)
    ended = subprocess.run([*container, execution.image, *execution.command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode != 0:
        sys.exit(f"{ended.stdout[-3000:]}\n{task} in {execution.image} ended with code {ended.returncode}")
    places = [mounted(artifact["uri"]) for artifact in execution.outputs.values()]
    look = [container[0], "exec", store, "sh", "-ec", 'ls -d "$@" >&2; cat "$0"', execution.output_file, *places]
    seen = subprocess.run(look, capture_output=True, text=True)
    if seen.returncode != 0:
        sys.exit(f"{task} in {execution.image} left an output out: {seen.stderr.strip()}")
    driver.ended(task, execution, json.loads(seen.stdout))
    print(f"{task:20} {execution.image:40} {time.monotonic() - started:5.1f} s", flush=True)


def main(given: list[str] | None = None) -> None:
    """Run every task of the search pipeline, and say how long each took."""
    parser = argparse.ArgumentParser(description="Run the six stages in containers of the built images.")
    parser.add_argument("--image", default=f"detkds:{version()}", help="runs the stages with a detector, and the store")
    parser.add_argument("--light-image", default=f"detkds-light:{version()}", help="runs subset and report; --image does as well")
    parser.add_argument("--flags", default="", help="further flags of the engine's run command, as for a GPU")
    options = parser.parse_args(given)
    program, name = engine(("docker", "podman")), f"detkds-rehearsal-{uuid.uuid4().hex[:8]}"
    images = {"image": options.image, "light_image": options.light_image}
    with volume(program, name, options.image) as sandbox, world(name, options.image, sandbox) as found:
        driver = Driver(found["package"], found["parameters"] | images, "s3://rehearsal/artifacts")
        environment = [word for key, value in found["environment"].items() for word in ("--env", f"{key}={value}")]
        container = [*sandbox, "--network", f"container:{name}", *environment, *shlex.split(options.flags)]
        for task in driver.tasks():
            perform(driver, task, container, name)
    print(f"all six stages run in {options.image} and {options.light_image}")


if __name__ == "__main__":
    main()
