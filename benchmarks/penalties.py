"""The gradients of the soft penalties: closed form added to .grad against autograd of the penalty in the loss.

Both give the same numbers (the largest difference is printed). "autograd" of SRIP goes through torch's own norm; "two
products" is the estimate of Bansal et al. (one power step from a random vector and a reading), and the last lines say
how far that lies below the exact norm after 100 steps of training with the penalty alone.

Run: python benchmarks/penalties.py
"""

from __future__ import annotations

import torch
from _compare import machine, medians, row  # first: it sets the number of threads

from ortholab.nn.soft import SoftOrthogonality

SHAPES = ((64, 64), (64, 576), (256, 256), (512, 512), (1024, 1024))


def gram(W: torch.Tensor) -> torch.Tensor:
    short = W @ W.T if W.shape[0] < W.shape[1] else W.T @ W
    return short - torch.eye(len(short))


def long_gram(W: torch.Tensor) -> torch.Tensor:
    return gram(W.T.clone()) if W.shape[0] == W.shape[1] else W.T @ W - torch.eye(max(W.shape))


def two_products(W: torch.Tensor) -> torch.Tensor:
    E = gram(W)
    with torch.no_grad():
        u = torch.nn.functional.normalize(torch.randn(len(E)), dim=0)
        v = torch.nn.functional.normalize(E @ u, dim=0)
        u = torch.nn.functional.normalize(E @ v, dim=0)
    return torch.dot(u, E @ v).abs()


LOSSES = {
    "so": lambda W: gram(W).square().sum(),
    "dso": lambda W: gram(W).square().sum() + long_gram(W).square().sum(),
    "mc": lambda W: gram(W).abs().max(),
    "srip": lambda W: torch.linalg.matrix_norm(gram(W), 2),
}


def by_autograd(W: torch.Tensor, loss) -> None:
    W.grad.zero_()
    loss(W).backward()


def by_hook(W: torch.Tensor, soft: SoftOrthogonality) -> None:
    W.grad.zero_()
    soft.add_gradients()


def compare(penalty: str, shape: tuple[int, int], repeats: int) -> str:
    generator = torch.Generator().manual_seed(0)
    W = torch.nn.Parameter(torch.randn(shape, generator=generator) / max(shape) ** 0.5)
    W.grad = torch.zeros_like(W)
    soft = SoftOrthogonality([W], penalty, 1.0)
    functions = {
        "ours": lambda: by_hook(W, soft),
        "autograd": lambda: by_autograd(W, LOSSES[penalty]),
    }
    if penalty == "srip":
        functions["two products"] = lambda: by_autograd(W, two_products)
    by_autograd(W, LOSSES[penalty])
    want = W.grad.clone()
    by_hook(W, soft)
    error = float((W.grad - want).norm() / want.norm())
    label = f"{penalty} {shape[0]} x {shape[1]}"
    return f"{row(label, medians(functions, repeats), 'ours')}; difference {error:.0e}"


def power_steps_miss(shape: tuple[int, int], coefficient: float = 1e-2, steps: int = 100) -> str:
    torch.manual_seed(0)
    W = torch.nn.Parameter(torch.randn(shape) * (2 / max(shape)) ** 0.5)
    optimiser = torch.optim.SGD([W], lr=0.1, momentum=0.9)
    SoftOrthogonality([W], "srip", coefficient).attach(optimiser)
    for _ in range(steps):
        optimiser.zero_grad()
        optimiser.step()
    with torch.no_grad():
        exact = torch.linalg.matrix_norm(gram(W).double(), 2).item()
        seen = sum(two_products(W).item() for _ in range(20)) / 20
    return f"srip {shape[0]} x {shape[1]}: exact {exact:.3f}, two products {seen:.3f} (mean of 20 starts)"


def main() -> None:
    print(machine())
    for penalty in LOSSES:
        for shape in SHAPES:
            print(compare(penalty, shape, 15 if max(shape) > 600 else 41), flush=True)
    for shape in ((64, 576), (256, 256)):
        print(power_steps_miss(shape))


if __name__ == "__main__":
    main()
