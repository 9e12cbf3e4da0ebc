"""A whole network at the critical point of its activations, with orthogonal weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import parametrize

from ortholab.errors import ArgumentError, NoFixedPointError, bad, check_int, check_number
from ortholab.nn.init.draws import check_torch_generator, orthogonal_
from ortholab.nn.init.plan import Layer, family_of, plan
from ortholab.theory.start import IsometricStart, isometric_start

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Setting:
    """What was done to one layer: ``how``, standard deviations, and the activation that follows ("" for none)."""

    name: str
    how: str
    activation: str
    sigma_w: float
    sigma_b: float


@dataclass(frozen=True)
class CriticalStart:
    """What :func:`critical_` did: a row a layer, and the starts by activation."""

    family: str
    depth: int
    rows: tuple[Setting, ...]
    starts: dict[str, IsometricStart]

    def table(self) -> pandas.DataFrame:
        """Return a pandas DataFrame with a row for each layer, in the order of the calls."""
        import pandas

        return pandas.DataFrame([vars(row) for row in self.rows])

    def __str__(self) -> str:
        lines = [f"{self.family} network, {self.depth} layers before an activation"]
        for s in self.starts.values():
            word = "isometric" if s.isometric else "critical, not isometric"
            lines.append(f"  {s.activation}: sigma_w = {s.sigma_w:.5g}, sigma_b = {s.sigma_b:.3g}, "
                         f"variance of the spectrum {s.spread:.3g} ({word})")  # fmt: skip
        return "\n".join(lines)


def critical_(
    model: nn.Module,
    batch: object = None,
    *,
    spread: float = 0.25,
    depth: int | None = None,
    generator: torch.Generator | int | None = None,
) -> CriticalStart:
    """Set every layer of a network in place to an orthogonal start on the critical line, and return what was set.

    The activation that counts for a layer is the first one called after it and before the next layer, found by calling
    the network on ``batch`` (which leaves it otherwise untouched); without a batch it is the next activation in the
    order of ``model.modules()``. With L layers so followed (or ``depth``), (sigma_w, sigma_b) is
    :func:`ortholab.theory.isometric_start` of the activation: JJ^T has mean 1 and variance ``spread`` where the
    activation allows it. Weights are sigma_w times orthogonal (delta-orthogonal kernels where all sizes are odd and
    there is one group; else the kernel as a matrix), biases N(0, sigma_b^2); a layer that no activation follows gets
    gain 1 and no bias. With a batch, the first layer's gain brings q^1 to q*: sigma_1^2 m(x) + sigma_b^2 = q*.
    Recurrent layers: every gate's matrices orthogonal, biases 0, and a forget bias of log(steps) (LSTM; GRU: its
    update gate). Attention: projections orthogonal. The last matrix of a residual branch that ends without a
    normalisation is divided by the root of the number of branches. Embeddings and normalisations are left.
    Raises ArgumentError for a layer that it can't treat; then nothing is changed. Source: Pennington et al. 2017
    (arXiv 1711.04735), Xiao et al. 2018 (arXiv 1806.05393); the forget bias is of Tallec and Ollivier 2018.

    >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(critical_(model, generator=0))
    plain network, 1 layers before an activation
      relu: sigma_w = 1.4142, sigma_b = 0, variance of the spectrum 1 (critical, not isometric)
    """
    if not isinstance(model, nn.Module):
        raise bad("model", type(model).__name__, "a torch.nn.Module")
    spread = check_number("spread", spread, low=0, open_low=True)
    generator = check_torch_generator(generator)
    layers, branches = plan(model, batch)
    family = family_of(layers, branches)
    count = sum(layer.calls for layer in layers if layer.activation is not None)
    depth = max(1, count) if depth is None else check_int("depth", depth, 1)
    starts: dict[str, IsometricStart] = {}
    for layer in layers:
        _check(layer)
        if layer.activation is not None and layer.activation.name not in starts:
            try:
                starts[layer.activation.name] = isometric_start(layer.activation, depth, spread)
            except NoFixedPointError as error:
                raise ArgumentError(f"model can't be made critical: {error}") from None
    first = next((layer for layer in layers if layer.activation is not None), None)
    rows = [_set(layer, starts, layer is first, branches, generator) for layer in layers]
    return CriticalStart(family, count, tuple(rows), starts)


def _check(layer: Layer) -> None:
    module = layer.module
    if layer.kind == "weights" and not parametrize.is_parametrized(module):
        raise ArgumentError(
            f"model must be made of layers of torch.nn that critical_ knows; {layer.name} is a {layer.what} with "
            "weights of its own: set those by hand with orthogonal_"
        )
    if parametrize.is_parametrized(module):
        raise ArgumentError(
            f"model must hold free weights; those of {layer.name} are constrained: set them before that"
        )
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
        raise ArgumentError(f"model must have all its parameters; {layer.name} is lazy: run a batch through it first")
    if layer.kind == "attention" and module.in_proj_weight is None:
        raise ArgumentError(f"model must have attention with keys and values of one size; {layer.name} has several")
    if any(p.dtype not in (torch.float32, torch.float64) for p in module.parameters()):
        raise ArgumentError(f"model must be float32 or float64; {layer.name} is not")


def _set(layer: Layer, starts: dict, first: bool, branches: int, generator) -> Setting:
    start = starts.get(layer.activation.name) if layer.activation is not None else None
    sigma_w, sigma_b = (start.sigma_w, start.sigma_b) if start else (1.0, 0.0)
    if first and layer.square_in > 0 and not layer.activation.degree_one and start.q > sigma_b**2:
        sigma_w = math.sqrt((start.q - sigma_b**2) / layer.square_in)
    if layer.ends_branch and not layer.norm_in_branch and branches:
        sigma_w /= math.sqrt(branches)
    with torch.no_grad():
        if layer.kind == "recurrent":
            how = _recurrent_(layer, generator)
            sigma_w, sigma_b = 1.0, 0.0
        elif layer.kind == "attention":
            how = _attention_(layer.module, sigma_w, generator)
        else:
            how = _matrix_(layer.module, sigma_w, generator)
            if layer.module.bias is not None:
                _normal_(layer.module.bias, sigma_b, generator)
    return Setting(layer.name, how, layer.activation.name if layer.activation else "", sigma_w, sigma_b)


def _matrix_(module: nn.Module, sigma_w: float, generator) -> str:
    from ortholab.nn.convolution import delta_orthogonal_

    weight = module.weight
    if weight.ndim == 2:
        orthogonal_(weight, sigma_w, generator)
        return "orthogonal"
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    if module.groups == 1 and not transposed and all(k % 2 for k in weight.shape[2:]):
        delta_orthogonal_(weight, sigma_w, generator)
        return "delta-orthogonal"
    # Each group on its own, as the matrix that acts on one patch.
    for block in weight.split(weight.shape[0] // module.groups):
        rows = block.transpose(0, 1) if transposed else block
        drawn = orthogonal_(torch.empty(rows.shape[0], rows[0].numel(), dtype=weight.dtype), sigma_w, generator)
        rows.copy_(drawn.reshape(rows.shape))
    return "orthogonal, kernel as a matrix"


def _recurrent_(layer: Layer, generator) -> str:
    module, n = layer.module, layer.module.hidden_size
    gates = {"LSTM": (4, 1), "GRU": (3, 1)}.get(layer.what.removesuffix("Cell"), (1, None))
    memory = math.log(layer.steps) if layer.steps > 1 else 1.0
    for name, p in module.named_parameters():
        if name.startswith("weight_"):
            for block in p.split(n) if p.shape[0] % n == 0 else (p,):
                orthogonal_(block, 1.0, generator)
        else:
            p.zero_()
            if gates[1] is not None and name.startswith("bias_ih"):
                p[gates[1] * n : (gates[1] + 1) * n] = memory
    return "orthogonal gates" + (f", memory bias {memory:.3g}" if gates[1] is not None and module.bias else "")


def _attention_(module: nn.MultiheadAttention, sigma_w: float, generator) -> str:
    for block in module.in_proj_weight.split(module.embed_dim):
        orthogonal_(block, 1.0, generator)
    orthogonal_(module.out_proj.weight, sigma_w, generator)
    for bias in (module.in_proj_bias, module.out_proj.bias):
        if bias is not None:
            bias.zero_()
    return "orthogonal projections"


def _normal_(bias: torch.Tensor, sigma_b: float, generator) -> None:
    device = generator.device if generator is not None else "cpu"
    bias.copy_(sigma_b * torch.randn(bias.shape, generator=generator, dtype=bias.dtype, device=device))
