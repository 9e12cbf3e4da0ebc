"""What a polar factor costs: five Newton-Schulz steps beside SVD and QR; and a step of each optimiser built on it.

Run: python benchmarks/newton_schulz.py [factors steps]. torch, float32, one thread, one process, functions in turn,
medians of the processor's time. The optimisers' steps are those of one n x n matrix with a dense gradient at hand, no
forward and no backward pass; ratios are to plain gradient descent, so that they count the optimiser's work alone.
"""

from _compare import machine, medians, row  # isort: skip  # first: it sets the threads

import sys
import time

import torch

from ortholab.nn import haar
from ortholab.nn.optim import Landing, ManifoldMuon, Muon, OneStep, StiefelSGD
from ortholab.nn.optim._matrix import polar_factor

SHAPES = ((48, 48), (128, 128), (256, 256), (512, 512), (1024, 1024), (1024, 256))


def factors(n: int, k: int) -> dict:
    X = torch.randn(n, k, generator=torch.Generator().manual_seed(0))
    return {
        "5 quintic steps": lambda: polar_factor(X, 5),
        "SVD": lambda: polar_factor(X, None),
        "QR": lambda: torch.linalg.qr(X),
        "one product": lambda: X.T @ X,
    }


def steps(n: int, k: int) -> dict:
    G = torch.randn(n, k, generator=torch.Generator().manual_seed(0)) / n
    start = haar(n, k, generator=1, dtype=torch.float64).float()
    rivals = {
        "SGD": lambda p: torch.optim.SGD(p, lr=0.01),
        "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
        "Muon": lambda p: Muon(p, lr=0.01),
        "Muon, exact": lambda p: Muon(p, lr=0.01, steps=None),
        "manifold Muon": lambda p: ManifoldMuon(p, lr=0.01),
        "one step": lambda p: OneStep(p, lr=0.01),
        "landing": lambda p: Landing(p, lr=0.01),
        "SGD, QR": lambda p: StiefelSGD(p, lr=0.01, retraction="qr"),
        "SGD, auto": lambda p: StiefelSGD(p, lr=0.01),
    }

    def stepper(make):
        W = torch.nn.Parameter(start.clone())
        optimiser = make([W])

        def step():
            W.grad = G
            optimiser.step()

        return step

    return {name: stepper(make) for name, make in rivals.items()}


def main(what: list[str]) -> None:
    print(machine())
    for name, make, ours in (("factors", factors, "5 quintic steps"), ("steps", steps, "SGD")):
        if name not in what:
            continue
        print(f"\n{name}")
        for n, k in SHAPES:
            if name == "steps" and (n > 512 and n == k):
                continue
            found = medians(make(n, k), repeats=5 if n * k > 500_000 else 15, clock=time.process_time)
            print(row(f"{n} x {k}", found, ours), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["factors", "steps"])
