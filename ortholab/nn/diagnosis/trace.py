"""What a network does with a batch: its layers and activations in the order in which they are called."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from ortholab.nn.diagnosis.pointwise import CALLS, Pointwise, by_values, recognise
from ortholab.nn.diagnosis.quiet import mean_square, not_finite, sample, slopes
from ortholab.theory.activations import Activation

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_ADDS = (torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__iadd__, torch.Tensor.add_, operator.add)
MATRICES = ("linear", "conv", "recurrent", "attention", "weights")  # kinds that count as a layer of the depth


@dataclass(eq=False)
class Event:
    """One call of a layer that holds weights, or of an activation.

    ``square_in`` and ``square_out`` are means of squared entries; ``back_in`` and ``back_out`` are sums of squared
    gradients at its input and output, added up over the probes; ``slope_square`` = mean phi'(h)^2 and ``dead`` = the
    share of units whose slope vanishes on the whole batch. NaN where there is nothing to measure.
    """

    name: str
    kind: str
    what: str
    module: nn.Module | None = None
    shape_in: tuple[int, ...] = ()
    shape_out: tuple[int, ...] = ()
    square_in: float = np.nan
    square_out: float = np.nan
    back_in: float = 0.0
    back_out: float = 0.0
    slope_square: float = np.nan
    dead: float = np.nan
    pointwise: Pointwise | None = None
    activation: Activation | None = None  # what follows this layer
    sample_in: np.ndarray | None = field(default=None, repr=False)
    sample_out: np.ndarray | None = field(default=None, repr=False)
    sequence: tuple[torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)
    ends_branch: bool = False  # the last layer before a residual sum
    norm_in_branch: bool = False  # and a normalisation stands between the two
    normalised: bool = False


@dataclass(eq=False)
class Trace:
    """The events of one call, and what kind of network they belong to."""

    events: list[Event] = field(default_factory=list)
    residual_sums: int = 0
    first: torch.Tensor | None = None  # the first activation, where the batch itself holds no floating-point numbers
    entry: torch.Tensor | None = None  # what the last layer with matrices reads
    bad: tuple[str, str] | None = None  # the first place whose output was not finite, and what it was
    counting: bool = True  # while it is True, gradients that flow back are added up

    @property
    def layers(self) -> list[Event]:
        """The calls of layers with matrices, in order: they make the depth."""
        return [e for e in self.events if e.kind in MATRICES]

    @property
    def depth(self) -> int:
        """How many layers with matrices were called."""
        return len(self.layers)

    def has(self, kind: str) -> bool:
        """Whether an event of this kind happened."""
        return any(e.kind == kind for e in self.events)


@contextlib.contextmanager
def tracing(model: nn.Module, *, measure: bool = True, cut_tokens: bool = False) -> Iterator[Trace]:
    """Record a :class:`Trace` of the calls of ``model`` inside the block; hooks are gone after it.

    ``measure`` takes slopes and dead units and lets gradients be counted; without it only values are looked at.
    ``cut_tokens`` makes the first embedding's output the variable to differentiate by (``Trace.first``).

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with tracing(model) as trace:
    ...     _ = model(torch.ones(4, 2))
    >>> [e.what for e in trace.events], trace.layers[0].activation.name
    (['Linear', 'relu', 'Linear'], 'relu')
    """
    trace, handles = Trace(), []
    recorder = _Recorder(trace, measure, cut_tokens)
    for name, module in model.named_modules():
        if not measure:
            handles.append(module.register_forward_hook(recorder.look(name or type(module).__name__)))
        if kind := kind_of(name, module):
            handles.append(module.register_forward_pre_hook(recorder.before(name, kind), with_kwargs=True))
            handles.append(module.register_forward_hook(recorder.after()))
    try:
        with recorder:
            yield trace
    finally:
        for handle in handles:
            handle.remove()
        _follow(trace)


def kind_of(name: str, module: nn.Module) -> str:
    """Return "linear", "conv", "recurrent", "attention", "embedding", "norm", "weights", or "" for what holds none."""
    if ".parametrizations." in f".{name}.":
        return ""
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.modules.conv._ConvNd):
        return "conv"
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return "recurrent"
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if isinstance(module, _NORMS) or "norm" in type(module).__name__.lower():
        return "norm"
    if any(p.ndim >= 2 for p in module.parameters(recurse=False)) or parametrize.is_parametrized(module):
        return "weights"
    return ""


def first_tensor(value: object, floating: bool = True) -> torch.Tensor | None:
    """Return the first (floating-point) tensor in a tensor, a tuple, a list, a mapping or a dataclass of tensors."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() or not floating else None
    if isinstance(value, dict):
        value = tuple(value.values())
    elif hasattr(value, "__dataclass_fields__"):
        value = tuple(getattr(value, name) for name in value.__dataclass_fields__)
    if isinstance(value, tuple | list):
        for part in value:
            found = first_tensor(part, floating)
            if found is not None:
                return found
    return None


class _Recorder(TorchFunctionMode):
    """Fills a trace: hooks see the layers, the function mode sees activations and sums."""

    def __init__(self, trace: Trace, measure: bool, cut_tokens: bool) -> None:
        super().__init__()
        self.trace, self.measure, self.cut_tokens = trace, measure, cut_tokens
        self.open: list[Event] = []
        self.inputs: dict[int, torch.Tensor] = {}  # what layers read, kept alive so that an id means one tensor
        self.known: dict[str, Pointwise | None] = {}

    def before(self, name: str, kind: str) -> Callable:
        """Return the hook that opens an event, and gives the layer a view of its input: a gradient of its own."""

        def hook(module: nn.Module, args: tuple, kwargs: dict):
            event = Event(name or type(module).__name__, kind, type(module).__name__, module)
            self.trace.events.append(event)
            self.open.append(event)
            x = first_tensor((*args, *kwargs.values()))
            if x is None:
                return None
            self.inputs[id(x)] = x
            event.shape_in, event.square_in = tuple(x.shape), mean_square(x)
            event.sample_in = sample(x)
            if not (self.measure and x.requires_grad):
                return None
            if not any(a is x for a in (*args, *kwargs.values())):  # inside a packed sequence, say: it stays there
                self._count(x, event, "back_in")
                return None
            view = x.view_as(x)
            self._count(view, event, "back_in")
            if kind in MATRICES:
                self.trace.entry = view
            if kind == "recurrent":
                event.sequence = (view, view)
            swap = lambda a: view if a is x else a  # noqa: E731
            return tuple(swap(a) for a in args), {k: swap(v) for k, v in kwargs.items()}

        return hook

    def after(self) -> Callable:
        """Return the hook that closes an event."""

        def hook(module: nn.Module, args: tuple, output: object):
            event = self.open.pop()
            y = first_tensor(output)
            if y is None:
                return None
            if event.kind == "embedding" and self.cut_tokens and self.trace.first is None:
                y = output = y.detach().requires_grad_()
                self.trace.first = y
            event.shape_out, event.square_out = tuple(y.shape), mean_square(y)
            self._note(event.name, not_finite(y))
            event.sample_out = sample(y)
            if event.sequence is not None:
                event.sequence = (event.sequence[0], y)
            self._count(y, event, "back_out")
            return output

        return hook

    def look(self, name: str) -> Callable:
        """Return the hook of any module at all that notes the first output that is not finite."""

        def hook(module: nn.Module, args: tuple, output: object) -> None:
            y = first_tensor(output)
            if y is not None:
                self._note(f"{name} ({type(module).__name__})", not_finite(y))

        return hook

    def _note(self, name: str, bad: str) -> None:
        if bad and self.trace.bad is None:
            self.trace.bad = name, bad

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _ADDS:
            self._sum(args)
            return func(*args, **kwargs)
        found = self._recognise(func, args, kwargs)
        if found is None:
            return func(*args, **kwargs)
        h = args[0]
        last = self.trace.events[-1].name if self.trace.events else "input"
        event = Event(f"{last} > {found.name}", "activation", found.name, pointwise=found)
        event.shape_in, event.square_in = tuple(h.shape), mean_square(h)
        self.trace.events.append(event)
        if self.measure:
            event.slope_square, event.dead = slopes(found.phi, h.detach(), self._channel_axis(h))
            self._count(h, event, "back_in")
        y = func(*args, **kwargs)
        event.shape_out, event.square_out = tuple(y.shape), mean_square(y)
        self._note(event.name, not_finite(y))
        self._count(y, event, "back_out")
        return y

    def _recognise(self, func: Callable, args: tuple, kwargs: dict) -> Pointwise | None:
        key = f"{getattr(func, '__name__', func)}{args[1:]!r}{kwargs!r}" if func in CALLS else ""
        if not key:
            return None
        if key not in self.known:
            self.known[key] = recognise(func, args, kwargs)
        return self.known[key]

    def _count(self, tensor: torch.Tensor, event: Event, name: str) -> None:
        """Add the squared gradient that comes to ``tensor`` to ``event.name`` whenever a probe flows back."""
        if not (self.measure and tensor.requires_grad):
            return

        def add(g: torch.Tensor) -> None:
            if self.trace.counting:
                setattr(event, name, getattr(event, name) + float(g.detach().double().square().sum()))

        tensor.register_hook(add)

    def _sum(self, args: tuple) -> None:
        """A sum of a layer's input and of what came of it later is a residual connection."""
        two = [a for a in args[:2] if isinstance(a, torch.Tensor) and a.is_floating_point()]
        if len(two) < 2 or two[0].shape != two[1].shape or isinstance(two[1], nn.Parameter):
            return
        if any(id(a) in self.inputs and self.inputs[id(a)] is a for a in two) and self.trace.layers:
            self.trace.residual_sums += 1
            last = self.trace.layers[-1]
            after = self.trace.events[self.trace.events.index(last) :]
            last.ends_branch, last.norm_in_branch = True, any(e.kind == "norm" for e in after)

    def _channel_axis(self, h: torch.Tensor) -> int:
        layers = self.trace.layers
        return 1 if layers and layers[-1].kind == "conv" and h.ndim >= 3 else h.ndim - 1


def _follow(trace: Trace) -> None:
    """Set ``activation`` of every layer: the first activation called before the next layer, else by values."""
    events = trace.events
    places = [i for i, e in enumerate(events) if e.kind in MATRICES]
    for i, stop in pairwise([*places, len(events)]):
        event, between = events[i], events[i + 1 : stop]
        event.normalised = any(e.kind == "norm" for e in between)
        calls = [e for e in between if e.kind == "activation"]
        if calls:
            event.activation = calls[0].pointwise.theory
            event.slope_square, event.dead = calls[0].slope_square, calls[0].dead
        elif stop < len(events) and _same_size(event, events[stop]):
            event.activation = by_values(event.sample_out, events[stop].sample_in)
            if event.activation is not None:
                event.slope_square = float(np.mean(np.square(event.activation.dphi(event.sample_out))))


def _same_size(one: Event, other: Event) -> bool:
    arrays = one.sample_out is not None and other.sample_in is not None
    return arrays and np.prod(one.shape_out) == np.prod(other.shape_in)
