"""Diagnose a network: measure every layer and the whole, judge, suggest a start, and leave no trace."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.diagnosis.call import Call, as_call, in_precision, run
from ortholab.nn.diagnosis.directions import directions
from ortholab.nn.diagnosis.end_to_end import Differential, EndToEnd, end_to_end
from ortholab.nn.diagnosis.probes import Probes, gradient_norm, send_back, through_time
from ortholab.nn.diagnosis.report import Report
from ortholab.nn.diagnosis.row import Row
from ortholab.nn.diagnosis.suggestion import Suggestion, family, suggest
from ortholab.nn.diagnosis.trace import Event, Trace, first_tensor, tracing
from ortholab.nn.diagnosis.untouched import untouched
from ortholab.nn.diagnosis.verdict import Limits, growth, judge, not_finite
from ortholab.nn.diagnosis.weights import WeightSpectrum, weight_spectrum

LARGE = 2_000_000  # parameters from which float32 is tried first


@dataclasses.dataclass(frozen=True)
class _Settings:
    loss: Callable | None
    probes: int
    samples: int
    exact_up_to: int
    batch_dim: int
    seed: int
    limits: Limits


def diagnose(
    model: nn.Module,
    batch: object,
    *,
    loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
    probes: int = 4,
    samples: int = 4,
    exact_up_to: int = 512,
    batch_dim: int = 0,
    seed: int = 0,
    limits: Limits | None = None,
) -> Report:
    """Measure a network at a batch and say what is wrong with it: any torch module, as it stands, nothing changed.

    For every layer: the mean squared gain forward, m(h)/m(x) with m the mean square, and backward, E|J^T v|^2/E|v|^2,
    from ``probes`` random vectors sent back from the output; the distance of its weights to a multiple of an orthogonal
    matrix; its gradient (of ``loss(output)`` if given); dead units. For the whole: the singular values of J of up to
    ``samples`` samples, exact where the short side of J is at most ``exact_up_to``, else both ends from products with
    error bounds. ``batch``: a tensor, a tuple of arguments or a dict of named ones; J is taken by its first
    floating-point tensor or, for integer tokens, by the first embedding's output. ``batch_dim`` counts the samples.
    Mode (train or eval) and batch statistics are the network's own; it runs on a float64 copy where one can be made
    (float32 above two million parameters).
    Raises ArgumentError. Source: the 2019 deck, equations (1) to (4); Hutchinson 1990 for the trace.

    >>> from ortholab.nn import MLP
    >>> diagnose(MLP(20, 20, 60, activation="tanh", sigma_w=0.8, generator=0), torch.ones(2, 20)).verdict
    'vanish'
    """
    if not isinstance(model, nn.Module):
        raise bad("model", type(model).__name__, "a torch.nn.Module")
    model = _inner(model)
    if loss is not None and not callable(loss):
        raise bad("loss", loss, "a function of the output, or None")
    if limits is not None and not isinstance(limits, Limits):
        raise bad("limits", limits, "an ortholab.nn.diagnosis.Limits")
    settings = _Settings(
        loss, check_int("probes", probes, 1), check_int("samples", samples, 1),
        check_int("exact_up_to", exact_up_to, 1), check_int("batch_dim", batch_dim), check_int("seed", seed),
        limits or Limits(),
    )  # fmt: skip
    call = as_call(batch)
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise ArgumentError("model must have all its parameters: run a batch through its lazy layers first")
    began = time.perf_counter()
    with untouched(model):
        report = _ill(model, call, settings) or _measured(model, call, settings)
    return dataclasses.replace(report, seconds=time.perf_counter() - began)


def _inner(model: nn.Module) -> nn.Module:
    """The module itself, out of the wrappers of torch.compile and DataParallel. Raises ArgumentError."""
    while isinstance(model, nn.DataParallel) or isinstance(getattr(model, "_orig_mod", None), nn.Module):
        model = model.module if isinstance(model, nn.DataParallel) else model._orig_mod
    if any(isinstance(m, torch.jit.ScriptModule) for m in model.modules()):
        raise ArgumentError("model must be made of Python modules: a ScriptModule takes no hooks; pass its original")
    return model


def _ill(model: nn.Module, call: Call, settings: _Settings) -> Report | None:
    """The report of a network with numbers that are not finite, looked for in its own precision; else None."""
    x, found = call.variable, None
    if x is not None and not bool(torch.isfinite(x).all()):
        found = not_finite("the batch", "NaN or inf")
    for kind, tensors in (("weights", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, value in tensors:
            if found is None and value.is_floating_point() and not bool(torch.isfinite(value).all()):
                found = not_finite(f"the {kind} {name}", "NaN" if bool(torch.isnan(value).any()) else "inf")
    trace, failure, y = Trace(), None, None
    try:
        with tracing(model, measure=False) as trace:
            y = run(model, call, settings.seed)
    except ArgumentError as error:
        failure = error
    if found is None and trace.bad is not None:
        where, what = trace.bad
        found = not_finite(f"the output of {where}", what)
    if found is None and failure is not None:
        raise failure
    if found is None and not bool(torch.isfinite(y).all()):
        found = not_finite("the output of the network", "NaN or inf")
    if found is None:
        return None
    rows = tuple(_row(e, None, None, {}) for e in trace.events)
    suggestion = Suggestion("mend that first; then diagnose again")
    return Report(type(model).__name__, family(trace), trace.depth, _count(model), rows, (found,), suggestion)


def _measured(model: nn.Module, call: Call, settings: _Settings) -> Report:
    """The report from a float64 copy, or, where that does not run, from the network itself.

    A large network is measured in float32, which is several times as quick, unless its gradients leave the range where
    that is safe.
    """
    single = "measured in float32, since the network is large"
    plans = [(torch.float32, (single,))] if _count(model) > LARGE else []
    for dtype, notes in [*plans, (torch.float64, ())]:
        twin = in_precision(model, dtype)
        if twin is None:
            continue
        try:
            report = _measure(twin, call, settings, dtype, notes)
        except ArgumentError:
            continue
        if dtype == torch.float64 or 1e-15 < report.growth < 1e15:
            return report
    for p in model.parameters():
        p.requires_grad_(p.is_floating_point())
    own = "measured in the network's own precision: it has no float64 copy that runs"
    return _measure(model, call, settings, None, (own,))


def _forward(model: nn.Module, call: Call, seed: int, dtype: torch.dtype | None, measure: bool):
    made, x = call.with_variable(dtype)
    with tracing(model, measure=measure, cut_tokens=x is None) as trace:
        y = run(model, made, seed)
    x = trace.first if x is None else x
    if x is not None and not y.requires_grad:
        raise ArgumentError(
            "model must return an output with a gradient; this one has none: it does not depend on the batch, or the "
            "network computes it under torch.no_grad or detaches it"
        )
    if x is None:
        raise ArgumentError(
            "batch must hold a floating-point tensor that the output depends on, or tokens that an embedding reads"
        )
    return trace, x, y


def _measure(model, call, settings: _Settings, dtype, notes) -> Report:
    trace, x, y = _forward(model, call, settings.seed, dtype, True)
    probes = send_back(y, x, trace, model, settings.probes, settings.loss)
    times = tuple(t for e in trace.layers if (t := through_time(e)) is not None)
    body = None
    if trace.depth > 2 and trace.entry is not None:
        body = directions(trace.entry, x, settings.batch_dim, max(8, settings.probes))
    spectrum = _spectrum(model, call, settings, dtype, x, y)
    known: dict[int, WeightSpectrum] = {}
    rows = tuple(_row(e, trace.layers[-1] if trace.layers else None, probes, known) for e in trace.events)
    findings = tuple(judge(trace, spectrum, body, times, settings.limits))
    factor, _ = growth(trace)
    return Report(
        type(model).__name__, family(trace), trace.depth, _count(model), rows, findings, suggest(trace), spectrum,
        factor, probes.square / max(1, x.shape[settings.batch_dim] if x.ndim > settings.batch_dim else 1), times, notes,
        "the loss" if settings.loss else "random vectors at the output", body,
    )  # fmt: skip


def _spectrum(model, call, settings: _Settings, dtype, x, y) -> EndToEnd:
    d = Differential(x, y, settings.batch_dim)
    tokens = call.variable is None
    whole = first_tensor((*call.args, *call.kwargs.values()), floating=False)
    alone = len(call.args) == 1 and not call.kwargs and isinstance(call.args[0], torch.Tensor)
    if alone and not d.coupled and d.rows > settings.samples:  # fewer rows, cheaper passes
        few = Call((whole.narrow(settings.batch_dim, 0, settings.samples),), {})
        _, x, y = _forward(model, few, settings.seed, dtype, False)
        d = Differential(x, y, settings.batch_dim)
    rng = np.random.default_rng(settings.seed)
    variable = "the first embedding's output" if tokens else "the batch"
    return end_to_end(d, samples=settings.samples, exact_up_to=settings.exact_up_to, rng=rng, variable=variable)


def _row(event: Event, last: Event | None, probes: Probes | None, known: dict[int, WeightSpectrum]) -> Row:
    weights = WeightSpectrum(np.nan, np.nan, np.nan)
    if event.module is not None and event.kind not in ("norm", "embedding") and probes is not None:
        weights = known.setdefault(id(event.module), None) or weight_spectrum(event)
        known[id(event.module)] = weights
    gradient = np.sqrt(event.back_out / last.back_out) if last is not None and last.back_out > 0 else np.nan
    return Row(
        event.name, event.what, event.kind, event.shape_out,
        event.square_out / event.square_in if event.square_in > 0 else np.nan,
        event.back_in / event.back_out if event.back_out > 0 and event.back_in > 0 else np.nan,
        float(np.sqrt(event.square_out)), float(gradient), weights.distance, weights.s_min, weights.s_max,
        gradient_norm(event, probes) if probes is not None else np.nan, event.slope_square, event.dead,
    )  # fmt: skip


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
