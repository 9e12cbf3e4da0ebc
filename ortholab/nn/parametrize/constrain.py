"""The two calls that a user needs: constrain a weight of any module, and release it.

Source: Lezcano-Casado 2019 (arXiv 1909.09501).
"""

from __future__ import annotations

import inspect

import torch
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from ortholab.errors import ArgumentError, bad, check_choice, check_number
from ortholab.nn.parametrize.base import Constraint, check_weight
from ortholab.nn.parametrize.cayley import Cayley
from ortholab.nn.parametrize.exponential import Exponential
from ortholab.nn.parametrize.margin import Margin
from ortholab.nn.parametrize.polar import Polar
from ortholab.nn.parametrize.portable import make_portable
from ortholab.nn.parametrize.reflections import Reflections
from ortholab.nn.parametrize.scaled_cayley import ScaledCayley

METHODS: dict[str, type[Constraint]] = {
    "cayley": Cayley,
    "scaled_cayley": ScaledCayley,
    "exponential": Exponential,
    "polar": Polar,
    "reflections": Reflections,
    "margin": Margin,
}
_COMMON = ("self", "name", "shape", "like", "common")
KEEP = ("value", "parameter")


def constrain(
    module: torch.nn.Module,
    name: str = "weight",
    method: str = "cayley",
    *,
    gain: float = 1.0,
    project: bool = False,
    **settings: object,
) -> torch.nn.Module:
    """Make ``module``'s parameter ``name`` gain times a matrix with orthonormal columns (rows if wide), and keep it so.

    W = f(free parameters), by a ``method`` of :data:`METHODS`; every step of every optimiser changes the free ones.
    The parameter has shape (..., n, k), leading axes are a batch; a convolution's (out, in, h, w) is taken as the
    matrix (out, in h w) of :func:`ortholab.theory.penalties.kernel_matrix`. float32 or float64, any device. The start
    is the present value, which must be orthogonal times gain; ``project`` starts from the nearest instead, here and
    when a weight is assigned later. ``settings`` are the method's: ``base``; ``negative``, ``generator``; ``centring``,
    ``groups``; ``reflections``; ``margin``, ``inner``. Returns the module itself. For all but "margin" the optimiser's
    parameter stays the same object; "margin" makes three new ones, so make the optimiser after it. A module that reads
    its weight often (nn.RNN does) computes it each time, unless within ``torch.nn.utils.parametrize.cached()``. Raises
    ArgumentError, and leaves the module as it was.

    >>> layer = constrain(torch.nn.Linear(4, 3), project=True)
    >>> torch.allclose(layer.weight @ layer.weight.T, torch.eye(3), atol=1e-6)
    True
    """
    kind = METHODS[check_choice("method", method, tuple(METHODS))]
    gain = check_number("gain", gain, low=1e-6, high=1e6)
    for key, value in (("project", project), ("centring", settings.get("centring", False))):
        if not isinstance(value, bool):
            raise bad(key, value, "True or False")
    allowed = [p for p in inspect.signature(kind.__init__).parameters if p not in _COMMON]
    for key in settings:
        if key not in allowed:
            raise ArgumentError(f"{key} is no setting of {method!r}; its settings are {', '.join(allowed) or 'none'}")
    weight = _find(module, name)
    kernel = isinstance(module, _ConvNd) and name == "weight"
    if kernel and module.transposed:
        raise bad("module", type(module).__name__, "no transposed convolution: its kernel is (in, out, h, w)")
    check_weight(name, weight, kernel)
    constraint = kind(
        name, tuple(weight.shape), like=weight.detach(), gain=gain, project=project, kernel=kernel, **settings
    )
    parametrize.register_parametrization(module, name, constraint)
    make_portable(module)
    return module


def release(module: torch.nn.Module, name: str = "weight", keep: str = "value") -> torch.nn.Module:
    """Undo :func:`constrain`: ``name`` is again a plain parameter. Returns the module.

    ``keep`` "value": it keeps the constrained value W. "parameter": it gets the free tensor behind it, where there is
    one (not for "margin"). Raises ArgumentError for what is not constrained.

    >>> layer = release(constrain(torch.nn.Linear(4, 3), project=True))
    >>> type(layer).__name__, type(layer.weight).__name__
    ('Linear', 'Parameter')
    """
    check_choice("keep", keep, KEEP)
    held = constraint_of(module, name)
    if keep == "parameter" and isinstance(held, Margin | Reflections):
        why = "which has three free tensors" if isinstance(held, Margin) else "whose free tensor has another shape"
        raise bad("keep", keep, f"'value' for the method {_name_of(held)!r}, {why}")
    parametrize.remove_parametrizations(module, name, leave_parametrized=keep == "value")
    return module


def constraint_of(module: torch.nn.Module, name: str = "weight") -> Constraint:
    """Return the constraint that holds ``name``. Raises ArgumentError if there is none of ours.

    >>> type(constraint_of(constrain(torch.nn.Linear(3, 2), "weight", "polar", project=True))).__name__
    'Polar'
    """
    _check_module(module)
    if isinstance(name, str) and parametrize.is_parametrized(module, name):
        held = module.parametrizations[name]
        if len(held) == 1 and isinstance(held[0], Constraint):
            return held[0]
    names = [n for n in getattr(module, "parametrizations", {})]
    raise bad("name", name, f"a constrained parameter of {type(module).__name__} ({', '.join(names) or 'it has none'})")


def _name_of(held: Constraint) -> str:
    return next(name for name, kind in METHODS.items() if type(held) is kind)


def _check_module(module: object) -> None:
    if not isinstance(module, torch.nn.Module):
        raise bad("module", module, "a torch.nn.Module")


def _find(module: object, name: object) -> torch.Tensor:
    _check_module(module)
    if isinstance(name, str) and parametrize.is_parametrized(module, name):
        raise ArgumentError(f"name must be a free parameter; {name!r} is constrained already: release it first")
    own = dict(module.named_parameters(recurse=False))
    if not isinstance(name, str) or name not in own:
        raise bad("name", name, f"a parameter of {type(module).__name__} itself: {', '.join(own) or 'it has none'}")
    return own[name]
