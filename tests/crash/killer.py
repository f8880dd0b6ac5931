"""Kills studies at random moments until it has done so often enough, and starts each again until it ends.

    killer.py FOLDER KILLS SIGNAL

Study i runs in FOLDER/killed/i. Prints how often each was killed, as a JSON list. The studies run in forks of this process, which has
imported `detkds.search` and no more, so a start costs milliseconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import victim


def start(folder: Path, study: int) -> int:
    """Fork a process that runs a study; returns its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            victim.search(folder, victim.KINDS[study % 3], study)
            code = 0
        except KeyboardInterrupt:
            code = victim.DIED
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return pid


def kill(pid: int, journal: Path, rng: random.Random, number: signal.Signals) -> bool:
    """Let the study grow a little, or live a moment, and kill it. False where it had ended by itself."""
    size = journal.stat().st_size if journal.exists() else 0
    growth = rng.randrange(1, 1200) if rng.random() < 0.75 else 10**9
    moment = time.monotonic() + (rng.uniform(0, 0.03) if growth == 10**9 else 60)
    status = 0
    while time.monotonic() < moment and not (journal.exists() and journal.stat().st_size >= size + growth):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.0003)
    else:
        time.sleep(rng.uniform(0, 0.003))
        os.kill(pid, number)
        _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == victim.DIED
    if not killed and status:
        raise SystemExit(f"the study ended with status {status}")
    return killed


def main(folder: Path, wanted: int, number: signal.Signals) -> list[int]:
    # A shell that starts us in the background hands on SIGINT as ignored, and then it would kill nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(wanted)
    kills: list[int] = []
    while sum(kills) < wanted:
        if len(kills) > 5 * wanted:
            raise SystemExit(f"{number.name} killed {sum(kills)} of {len(kills)} studies; it does not reach them")
        study = len(kills)
        kills.append(0)
        place = folder / "killed" / str(study)
        while kill(start(place, study), place / "journal.jsonl", rng, number):
            kills[-1] += 1
    return kills


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), signal.Signals[sys.argv[3]])))
