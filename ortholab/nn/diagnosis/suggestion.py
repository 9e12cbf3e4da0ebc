"""What start would suit the network: the critical point of its activation for its depth, or why that does not apply."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ortholab.errors import NoFixedPointError
from ortholab.nn.diagnosis.trace import Trace
from ortholab.theory.activations import LINEAR, Activation
from ortholab.theory.start import IsometricStart, isometric_start


@dataclass(frozen=True)
class Suggestion:
    """A start in words, and as numbers where the theory gives them.

    >>> import torch
    >>> from ortholab.nn import MLP
    >>> from ortholab.nn.diagnosis import diagnose
    >>> found = diagnose(MLP(20, 20, 60, activation="tanh", sigma_w=0.8, generator=0), torch.ones(2, 20)).suggestion
    >>> found.words.split(":")[0], round(found.start.sigma_w, 3)
    ('tanh, 60 layers', 1.024)
    """

    words: str
    start: IsometricStart | None = None


def family(trace: Trace) -> str:
    """Return "attention", "recurrent", "residual", or "plain": what decides which start applies.

    >>> family(Trace())
    'plain'
    """
    if trace.has("attention"):
        return "attention"
    if trace.has("recurrent"):
        return "recurrent"
    return "residual" if trace.residual_sums else "plain"


def main_activation(trace: Trace) -> tuple[Activation | None, int]:
    """Return the activation that most layers are followed by, and after how many layers an activation stands."""
    found = [e.activation for e in trace.layers[:-1] if e.activation is not None]
    if trace.layers and trace.layers[-1].activation is not None:
        found.append(trace.layers[-1].activation)
    if not found:
        return (LINEAR, 1) if trace.depth == 1 and not trace.has("activation") else (None, trace.depth)
    name = Counter(a.name for a in found).most_common(1)[0][0]
    return next(a for a in found if a.name == name), len(found)


def suggest(trace: Trace) -> Suggestion:
    """Return what :func:`ortholab.nn.init.critical_` would do, with the reasons."""
    kind = family(trace)
    normalised = trace.has("norm")
    if not trace.depth:
        return Suggestion("the network calls no layer with weights: there is nothing to set")
    if kind == "attention" and not trace.residual_sums:
        return Suggestion(
            "attention without shortcuts: the critical line of a plain network does not apply. Orthogonal projections "
            "of gain 1; critical_ sets them."
        )
    if kind == "attention":
        return Suggestion(
            "attention with shortcuts: the critical line of a plain network does not apply. Orthogonal projections of "
            f"gain 1, and the last matrix of each of the {trace.residual_sums} branches times 1/sqrt(branches), keep "
            "the sum of the branches as large as the stream; critical_ does that."
        )
    if kind == "recurrent":
        return Suggestion(
            "a recurrent layer: orthogonal recurrent matrices, block by block for gates; for an LSTM a forget-gate "
            "bias of log(steps), so that the gate forgets over the length of the sequence and not in two steps "
            "(Tallec and Ollivier 2018); critical_ does that."
        )
    activation, depth = main_activation(trace)
    if kind == "residual":
        words = (
            f"a residual network with {trace.residual_sums} sums seen: gradients pass along the shortcuts, and the "
            "critical line of a plain network does not apply. "
        )
        words += (
            "Normalisation inside the branches undoes the gain of the weights: only whether the kernels are orthogonal "
            "is left to choose."
            if normalised
            else "Scale the last matrix of each branch by 1/sqrt(branches); critical_ does that."
        )
        return Suggestion(words)
    if activation is None:
        return Suggestion("the activation was not recognised, so no critical point can be computed for it")
    try:
        start = isometric_start(activation, max(1, depth))
    except NoFixedPointError as error:
        return Suggestion(f"{error}: take another activation, tanh say")
    return Suggestion(_plain(start, activation, trace, normalised), start)


def _plain(start: IsometricStart, activation: Activation, trace: Trace, normalised: bool) -> str:
    kernels = "delta-orthogonal kernels" if trace.has("conv") else "orthogonal weights"
    words = (
        f"{start.activation}, {start.depth} layers: {kernels} with sigma_w = {start.sigma_w:.5g} "
        f"(sigma_w^2 = {start.sigma_w**2:.5g}), biases of standard deviation sigma_b = {start.sigma_b:.3g}"
    )
    if start.activation != "linear" and start.sigma_b > 0:
        words += f", which hold the variance at q* = {start.q:.3g}"
    elif not activation.degree_one and start.q > 0:
        words += f" (the critical line of {start.activation} begins there, at q* = {start.q:.3g})"
    if start.isometric:
        words += f"; the spectrum of JJ^T then has mean 1 and variance {start.spread:.2g}"
    else:
        words += (
            f"; that keeps the mean at 1, but {start.activation} can't be isometric: the variance is "
            f"{start.spread:.3g}. If so many layers must train, take tanh or hard-tanh, or add shortcuts"
        )
    if normalised:
        words += ". The normalisation layers undo the gain of the weights: then only the orthogonality remains"
    return words + ". ortholab.nn.init.critical_(model, batch) sets it."
