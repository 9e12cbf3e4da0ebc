"""A training step of the network of Figure 4 (200 layers of 400 units, batch 128, float32) beside its matrix products.

Run: python benchmarks/deep_step.py
"""

from _compare import machine, medians  # isort: skip  # first: it sets the threads

import copy

import numpy as np
import torch

from ortholab.nn import MLP
from ortholab.nn.deep_step import DeepStep

DEPTH, WIDTH, BATCH, N_IN, CLASSES = 200, 400, 128, 3072, 10
RATE = 1e-6  # small: the network stays near its start, so that every repeat does the same work
TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, RATE),
    "momentum": lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, RATE),
    "rmsprop": lambda p: torch.optim.RMSprop(p, RATE),
}


def products(library: str):
    """The step's matrix products alone, with operands that stay in the cache: X W^T, D W and D^T X for every layer."""
    generator = torch.Generator().manual_seed(0)
    jobs, flops = [], 0
    for n_in, n_out, layers in ((N_IN, WIDTH, 1), (WIDTH, WIDTH, DEPTH - 1), (WIDTH, CLASSES, 1)):
        X, D, W = (torch.randn(s, generator=generator) for s in ((BATCH, n_in), (BATCH, n_out), (n_out, n_in)))
        triples = [(X, W.t(), torch.empty_like(D)), (D, W, torch.empty_like(X)), (D.t(), X, torch.empty_like(W))]
        triples = [t for t in triples if not (n_in == N_IN and t[0] is D)]  # the images need no gradient
        flops += layers * len(triples) * 2 * BATCH * n_in * n_out
        jobs += triples * layers
    if library == "numpy":
        jobs = [tuple(t.numpy() for t in job) for job in jobs]
        return lambda: [np.matmul(a, b, out=c) for a, b, c in jobs], flops
    return lambda: [torch.mm(a, b, out=c) for a, b, c in jobs], flops


def network(activation: str) -> MLP:
    sigma_w = 2**0.5 if activation == "relu" else 1.05**0.5
    return MLP(N_IN, WIDTH, DEPTH, CLASSES, activation=activation, sigma_w=sigma_w, generator=0)


def steps(activation: str, optimiser: str, x: torch.Tensor, y: torch.Tensor):
    """Our step and torch's, on equal networks."""
    model = network(activation)
    twin = copy.deepcopy(model)
    ours, theirs = DeepStep(model, BATCH, optimiser, rate=RATE), TORCH[optimiser](twin.parameters())

    def plain() -> None:
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(twin.readout(_hidden(twin, x)), y).backward()
        theirs.step()

    return lambda: ours.step(x, y), plain


def _hidden(model: MLP, x: torch.Tensor) -> torch.Tensor:
    for layer in model.layers:  # without the MLP's check that its output is finite
        x = model.activation.phi(layer(x))
    return x


def main() -> None:
    print(machine())
    print(f"{DEPTH} layers of {WIDTH}, {N_IN} inputs, batch {BATCH}; medians of 5 interleaved runs")
    print("share: time of the products alone (the faster of torch.mm and numpy.matmul, operands in cache) over ours")
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(BATCH, N_IN, generator=generator) * 0.15, torch.randint(CLASSES, (BATCH,), generator=generator)
    (by_torch, flops), (by_numpy, _) = products("torch"), products("numpy")
    for activation, optimiser in [("tanh", o) for o in TORCH] + [("relu", "sgd"), ("hard_tanh", "sgd")]:
        ours, plain = steps(activation, optimiser, x, y)
        took = medians({"torch.mm": by_torch, "numpy": by_numpy, "ours": ours, "torch": plain}, repeats=5)
        best = min(took["torch.mm"], took["numpy"])
        print(
            f"{activation:9s} {optimiser:8s} products {1e3 * best:5.0f} ms ({flops / best / 1e9:.0f} GFLOP/s) | "
            f"ortholab {1e3 * took['ours']:5.0f} ms, share {best / took['ours']:.2f} | "
            f"torch autograd {1e3 * took['torch']:5.0f} ms, {took['torch'] / took['ours']:.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
