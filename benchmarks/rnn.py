"""A training step of an Elman network (tanh, RMSprop, float32) beside torch.nn.RNN and beside its matrix products.

Run: python benchmarks/rnn.py
"""

from _compare import machine, medians  # isort: skip  # first: it sets the threads

import torch

from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN

RATE = 1e-6  # small: the network stays near its start, so that every repeat does the same work
SIZES = ((64, 50), (64, 128), (128, 128), (128, 256))  # units, batch
LENGTH, CLASSES = 784, 10


def products(n: int, batch: int):
    """The step's products of size n alone, by torch.mm: H W^T and D W at every step, and D^T H over all of them."""
    generator = torch.Generator().manual_seed(0)
    X, W, out = (
        torch.randn(batch, n, generator=generator),
        torch.randn(n, n, generator=generator),
        torch.empty(batch, n),
    )
    H, D = (torch.randn(LENGTH * batch, n, generator=generator) for _ in range(2))
    G = torch.empty(n, n)

    def run() -> None:
        for _ in range(LENGTH):
            torch.mm(X, W.t(), out=out)
            torch.mm(X, W, out=out)
        torch.mm(D.t(), H, out=G)

    return run


def steps(n: int, batch: int, x: torch.Tensor, y: torch.Tensor):
    """Our step and torch's, on equal networks."""
    model = RNN(1, n, CLASSES, generator=0)
    trainer = RecurrentStep(model, batch, LENGTH, "rmsprop", rate=RATE)
    peer, readout = torch.nn.RNN(1, n), torch.nn.Linear(n, CLASSES)
    with torch.no_grad():
        peer.weight_hh_l0.copy_(model.W)
        peer.weight_ih_l0.copy_(model.W_in)
        peer.bias_ih_l0.zero_()
        peer.bias_hh_l0.zero_()
        readout.weight.copy_(model.W_out)
        readout.bias.zero_()
    optimiser = torch.optim.RMSprop([*peer.parameters(), *readout.parameters()], RATE)
    losses = {}

    def ours() -> None:
        losses["ours"] = trainer.step(x, y[None])

    def theirs() -> None:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(readout(peer(x)[0][-1]), y)
        loss.backward()
        optimiser.step()
        losses["torch"] = loss.item()

    return ours, theirs, losses


def main() -> None:
    print(machine())
    print(
        f"{LENGTH} steps, one input, {CLASSES} classes; medians of 7 interleaved runs; share: products alone over ours"
    )
    generator = torch.Generator().manual_seed(1)
    for n, batch in SIZES:
        x = torch.rand(LENGTH, batch, 1, generator=generator)
        y = torch.randint(CLASSES, (batch,), generator=generator)
        ours, theirs, losses = steps(n, batch, x, y)
        took = medians({"products": products(n, batch), "ours": ours, "torch": theirs}, repeats=7)
        print(
            f"{n:4d} units, batch {batch:3d}: products {1e3 * took['products']:4.0f} ms | ortholab "
            f"{1e3 * took['ours']:4.0f} ms, share {took['products'] / took['ours']:.2f} | torch.nn.RNN "
            f"{1e3 * took['torch']:4.0f} ms, {took['torch'] / took['ours']:.2f} times as long | "
            f"losses {losses['ours']:.5f}, {losses['torch']:.5f}"
        )


if __name__ == "__main__":
    main()
