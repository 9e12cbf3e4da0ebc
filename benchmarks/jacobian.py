"""Time of ``ortholab.nn.jacobian`` beside torch's own, and the accuracy of its log singular values.

Run: python benchmarks/jacobian.py
"""

from _compare import machine, medians, row  # isort: skip  # first: it sets the threads

import torch

from ortholab import nn

CASES = [  # n_in, width, depth, batch
    (100, 100, 20, 1),
    (100, 100, 100, 1),
    (400, 400, 20, 1),
    (100, 100, 20, 16),
    (784, 100, 20, 16),
    (100, [100] * 19 + [10], None, 16),
]


def times() -> None:
    for n_in, width, depth, batch in CASES:
        model = nn.MLP(n_in, width, depth, sigma_w=1.1, generator=0)
        x = torch.randn(batch, n_in, generator=torch.Generator().manual_seed(1))
        functions = {
            "ortholab": lambda m=model, x=x: nn.jacobian(m, x),
            "torch.func.jacrev": lambda m=model, x=x: torch.func.vmap(torch.func.jacrev(m))(x),
            "autograd.functional": lambda m=model, x=x: torch.stack(
                [torch.autograd.functional.jacobian(m, one) for one in x]
            ),
        }
        results = [function() for function in functions.values()]
        assert all(torch.allclose(results[0], other, rtol=1e-3, atol=1e-5) for other in results[1:])
        label = f"{n_in}->{model.widths[-1]}, L={model.depth}, batch {batch}"
        print(row(label, medians(functions), "ortholab"), flush=True)


def accuracy(n: int = 100, depth: int = 100) -> None:
    print(f"\nsum of log singular values, Gaussian linear, n = L = {n}, seed 0")
    for dtype in (torch.float32, torch.float64):
        model = nn.MLP(n, n, depth, activation="linear", sigma_w=1.0, weights="gaussian", generator=0, dtype=dtype)
        x = torch.ones(n, dtype=dtype)
        true = sum(torch.linalg.slogdet(layer.weight.double())[1].item() for layer in model.layers)
        plain = nn.singular_values(model, x).double().log().sum().item()
        ours = nn.log_singular_values(model, x).sum()
        print(f"{dtype!s:14s} log|det| {true:9.2f} | plain SVD of J {plain:9.2f} | ortholab {ours:9.2f}", end=" ")
        print(f"(error {abs(ours - true):.1e})")
        seconds = medians({"ortholab": lambda m=model, x=x: nn.log_singular_values(m, x)}, repeats=3)
        print(f"{'':14s} {seconds['ortholab'] * 1e3:.0f} ms")


if __name__ == "__main__":
    print(machine())
    print("medians of 7 interleaved runs; 'ratios' are the other's time over ours")
    times()
    accuracy()
