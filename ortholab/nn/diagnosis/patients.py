"""Networks whose fault is known, small enough to be diagnosed in a second or two: for tests, and for the book."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ortholab.nn.mlp import MLP
from ortholab.nn.resnet import ResNet
from ortholab.theory.start import isometric_start

WIDTH, DEEP = 24, 200


def images(rows: int = 4, size: int = 16, seed: int = 0) -> torch.Tensor:
    """Return random images."""
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))


def vectors(rows: int = 4, width: int = WIDTH, seed: int = 0, size: float = 1.0) -> torch.Tensor:
    """Return random rows of mean square ``size``^2."""
    return size * torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def deep_tanh(sigma_w: float, sigma_b: float = 0.0, weights: str = "orthogonal", depth: int = DEEP) -> nn.Module:
    """Return a deep tanh network at (sigma_w, sigma_b)."""
    return MLP(WIDTH, WIDTH, depth, activation="tanh", sigma_w=sigma_w, sigma_b=sigma_b, weights=weights, generator=0)


def vgg_like(he: bool = False, seed: int = 0) -> nn.Module:
    """Thirteen kernels and two layers, without normalisation, at torch's own start or He's."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    n_in = 3
    for n_out in (16, 16, "M", 32, 32, "M", 64, 64, 64, "M", 64, 64, 64, "M", 64, 64, 64):
        if n_out == "M":
            parts.append(nn.MaxPool2d(2))
            continue
        parts += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
        n_in = n_out
    model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(64, 64), nn.ReLU(inplace=True), nn.Linear(64, 10))
    for layer in model if he else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model


def plain_cnn(depth: int = 100, width: int = 8, seed: int = 0) -> nn.Module:
    """A hundred kernels and ReLU at He's start: the mean is kept, and nothing else."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for k in range(depth):
        layer = nn.Conv2d(3 if k == 0 else width, width, 3, padding=1, padding_mode="circular")
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(width * 64, 10))


def resnet() -> nn.Module:
    """Return a ResNet-20, half as wide as the usual one."""
    return ResNet(20, generator=0, width=8)


class LastStep(nn.Module):
    """An LSTM that reads a sequence, and a readout of its last state."""

    def __init__(self, n_in: int = 4, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.lstm = nn.LSTM(n_in, width, batch_first=True)
        self.readout = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.lstm(x)[0][:, -1])


class Tokens(nn.Module):
    """A small transformer that reads tokens: embedding, two blocks with dropout, a readout of the first place."""

    def __init__(self, words: int = 30, width: int = 16, seed: int = 0, norm_first: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(words, width)
        block = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True, norm_first=norm_first)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.readout = nn.Linear(width, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.readout(self.blocks(self.embed(tokens))[:, 0])


def tokens(rows: int = 3, steps: int = 6) -> torch.Tensor:
    """Return random tokens."""
    return torch.randint(30, (rows, steps), generator=torch.Generator().manual_seed(0))


def dead_relu(seed: int = 0) -> nn.Module:
    """Four layers of ReLU; the biases of the third are so low that nothing passes."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for _ in range(4):
        parts += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    model = nn.Sequential(*parts, nn.Linear(WIDTH, 5))
    nn.init.constant_(model[4].bias, -20.0)
    return model


class LogOfRelu(nn.Module):
    """A layer that takes a logarithm of what can be zero, then subtracts infinities."""

    def __init__(self) -> None:
        super().__init__()
        self.bend = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logs = torch.log(self.bend(x))
        return logs - logs.amax()


def nan_network(seed: int = 0) -> nn.Module:
    """Return a network in which a logarithm of zero becomes infinite."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.Tanh(), LogOfRelu(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3)
    )


@dataclass(frozen=True)
class Patient:
    """A network, a batch for it, and the verdict that is right."""

    model: Callable[[], nn.Module]
    batch: Callable[[], torch.Tensor]
    verdict: str


def _critical(weights: str) -> nn.Module:
    start = isometric_start("tanh", DEEP)
    return deep_tanh(start.sigma_w, start.sigma_b, weights)


def _at_q() -> torch.Tensor:
    return vectors(2, size=isometric_start("tanh", DEEP).q ** 0.5)


def _sequences() -> torch.Tensor:
    return torch.randn(2, 60, 4, generator=torch.Generator().manual_seed(0))


PATIENTS = {
    "tanh, ordered": Patient(lambda: deep_tanh(0.9), lambda: vectors(2), "vanish"),
    "tanh, chaotic": Patient(lambda: deep_tanh(2.0, 0.1), lambda: vectors(2), "explode"),
    "tanh, critical orthogonal": Patient(lambda: _critical("orthogonal"), _at_q, "sound"),
    "tanh, critical Gaussian": Patient(lambda: _critical("gaussian"), _at_q, "ill-conditioned"),
    "VGG-like, torch's start": Patient(vgg_like, images, "vanish"),
    "VGG-like, He's start": Patient(lambda: vgg_like(True), images, "sound"),
    "ResNet-20": Patient(resnet, images, "sound"),
    "plain CNN of 100 layers": Patient(plain_cnn, lambda: images(2, 8), "ill-conditioned"),
    "LSTM": Patient(LastStep, _sequences, "vanish"),
    "transformer": Patient(Tokens, tokens, "sound"),
    "dead ReLUs": Patient(dead_relu, lambda: vectors(16), "dead"),
    "infinite logarithm": Patient(nan_network, vectors, "nan"),
}
