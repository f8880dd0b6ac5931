"""Tasks that share CPUs: five with a thread for every CPU each or with the threads that they asked for, and one beside a busy CPU.

usage: python benchmarks/threads/bench.py
"""

from __future__ import annotations

import multiprocessing
import os
import time

from detkds.processes import CPUS, SPINS, use_cpus

TASKS, STEPS = 5, 20


def steps_per_s(asked: str) -> float:
    """Training steps per second of a small detector's size, in this process."""
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count() or 1)
    if asked:
        os.environ[CPUS] = asked
        use_cpus()
    layers = [nn.Conv2d(3 if not i else 32, 32, 3, padding=1) for i in range(5)]
    model = nn.Sequential(*[layer for conv in layers for layer in (conv, nn.BatchNorm2d(32), nn.ReLU())])
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    images = torch.rand(2, 3, 64, 64)
    began = time.monotonic()
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    return STEPS / (time.monotonic() - began)


def beside_others(busy: int, spins: int) -> float:
    """Training steps per second with a thread for every CPU, while other programs keep `busy` CPUs busy.

    Args:
        spins: how often a thread looks for work before it sleeps; read by a process when it imports torch.
    """
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_busy, daemon=True) for _ in range(busy)]
    os.environ[SPINS] = str(spins)
    for other in others:
        other.start()
    with context.Pool(1) as pool:
        rate = pool.apply(steps_per_s, ("",))
    for other in others:
        other.kill()
        other.join()
    return rate


def _busy() -> None:
    while True:
        pass


def main() -> None:
    """Print the rates and their ratios."""
    for busy in (0, 1, 2):
        found = ", ".join(f"{spins:,} {beside_others(busy, spins):.1f}" for spins in (0, 1_000, 10_000, 1_000_000_000))
        print(f"{busy} busy CPUs, steps per second by how often a waiting thread looks: {found}")
    share = f"{(os.cpu_count() or 1) / TASKS:g}"
    rates = {}
    for label, asked in (("every CPU", ""), ("its share", share)):
        with multiprocessing.get_context("spawn").Pool(TASKS) as pool:
            rates[label] = sum(pool.map(steps_per_s, [asked] * TASKS, chunksize=1))
        print(f"{TASKS} tasks on {os.cpu_count()} CPUs, threads for {label}: {rates[label]:.1f} steps per second together")
    print(f"ratio: {rates['its share'] / rates['every CPU']:.2f}")


if __name__ == "__main__":
    main()
