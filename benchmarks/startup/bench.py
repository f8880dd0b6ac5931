"""Start-up of the command line: `python benchmarks/startup/bench.py`. The goal is under 0.5 s for `detkds --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "detkds --help": ["-c", "from detkds.cli import main; main()", "--help"],
    "import torch": ["-c", "import torch"],
    "import detkds.detectors": ["-c", "import detkds.detectors"],
    "the same with what it defers": [
        "-Wignore",
        "-c",
        "import imgaug, scipy.interpolate, matplotlib.pyplot, torch.distributed.fsdp, torch.distributed.optim, torch._dynamo,"
        "mmengine._strategy.fsdp; import detkds.detectors",
    ],
}


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    print("\n### Start-up\n\n| command | median s |\n|---|---:|")
    for name, values in times.items():
        print(f"| {name} | {median(values):.2f} |")


if __name__ == "__main__":
    main()
