"""How long a diagnosis takes, for a CNN of ten million weights; how far both ends are from those of the full matrix.

Run: python benchmarks/diagnose.py
"""

from _compare import machine  # isort: skip  # first: it sets the threads

import time

import torch
from torch import nn

from ortholab.nn import MLP
from ortholab.nn.diagnosis import diagnose


def cnn() -> nn.Module:
    """A VGG of 16 kernels on pictures of 32 x 32, about ten million weights."""
    torch.manual_seed(0)
    parts, n_in = [], 3
    for n_out in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 448, 448, 448, "M", 448, 448):
        if n_out == "M":
            parts.append(nn.MaxPool2d(2))
            continue
        parts += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
        n_in = n_out
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(448 * 4, 256), nn.ReLU(inplace=True), nn.Linear(256, 10))


def main() -> None:
    print(machine())
    model, x = cnn(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    diagnose(nn.Linear(2, 2), torch.ones(1, 2))  # warm-up: lazy imports
    began, busy = time.perf_counter(), time.process_time()
    report = diagnose(model, x)
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    print(f"CNN of {report.parameters / 1e6:.1f} million weights, 4 samples: {wall:.1f} s ({busy:.1f} s of processor "
          f"time), {report.verdict}")  # fmt: skip
    for width in (200, 400):
        wide = MLP(width, width, 6, activation="tanh", sigma_w=1.1, generator=0)
        rows = 0.4 * torch.randn(1, width, generator=torch.Generator().manual_seed(0))
        found = {limit: diagnose(wide, rows, exact_up_to=limit).spectrum for limit in (10, 1000)}
        free, full = found[10], found[1000]
        off = [abs(getattr(free, name) / getattr(full, name) - 1) for name in ("s_max", "s_min")]
        print(f"width {width}: {free.s.shape[1]} products each way; s_max off by {off[0]:.1e}, s_min by {off[1]:.1e}")


if __name__ == "__main__":
    main()
