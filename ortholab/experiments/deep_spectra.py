"""What the isometry of a network has become: singular values of J and of chosen weights, distance to orthogonality."""

from __future__ import annotations

import numpy as np
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import MLP, singular_values

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def watched_layers(depth: int) -> tuple[int, ...]:
    """Return the layers whose weights are looked at, counted from 1: the first square one, the middle, the last.

    >>> watched_layers(200), watched_layers(3), watched_layers(1)
    ((2, 101, 200), (2, 3), ())
    """
    return tuple(dict.fromkeys((2, max(2, depth // 2 + 1), depth))) if depth > 1 else ()


def spectra(model: MLP, x: torch.Tensor, sigma_w: float) -> dict[str, list]:
    """Return the spectra of a network as it is now; ``x`` (images, n_in) is where J is taken. Depth 2 at least.

    J runs from layer 1's output to the last layer's, square factors only. ``s_max`` and ``s_mean_square`` are the
    largest and the mean squared singular value of J for each image; ``jacobian_quantiles`` are the quantiles
    (:data:`QUANTILES`) of all images' singular values together. For each of :func:`watched_layers`:
    ``weight_quantiles`` are those of the singular values of W / sigma_w, and ``stiefel_distance`` is its Frobenius
    distance to the nearest orthogonal matrix, d = sqrt(sum_i (s_i - 1)^2). NaN stands for a J that overflows.

    >>> found = spectra(MLP(4, 9, 3, sigma_w=1.0, weights="orthogonal", generator=0), torch.ones(1, 4), 1.0)
    >>> [round(d, 5) for d in found["stiefel_distance"]]
    [0.0, 0.0]
    """
    try:
        s = singular_values(model, x, 1).cpu().double().numpy()
    except ArgumentError:  # the network diverges: an outcome like any other
        s = np.full((len(x), 1), np.nan)
    layers = [model.layers[k - 1].weight.detach().cpu().double() for k in watched_layers(model.depth)]
    weights = [(torch.linalg.svdvals(W) / sigma_w).numpy() for W in layers]
    return {
        "s_max": s[:, 0].tolist(),
        "s_mean_square": np.square(s).mean(1).tolist(),
        "jacobian_quantiles": np.quantile(s, QUANTILES).tolist(),
        "weight_quantiles": [np.quantile(w, QUANTILES).tolist() for w in weights],
        "stiefel_distance": [float(np.linalg.norm(w - 1)) for w in weights],
    }
