"""Mis-use of constrain and release: an error of ours that names the argument, what was given and what is allowed."""

import math
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations as torch_parametrizations

import ortholab
from ortholab.errors import ArgumentError
from ortholab.nn.parametrize import angle_blocks, constrain, constraint_of, release

sys.path.insert(0, str(Path(__file__).parent))
from constrained import Own, stiefel

HOME = Path(ortholab.__file__).parent


def own(*shape, dtype=torch.float64):
    return Own(stiefel(shape).to(dtype))


def filled(value, *shape):
    return Own(torch.full(shape, value))


def frozen():
    module = own(3, 3)
    module.weight.requires_grad_(False)
    return module


def integers():
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.eye(3, dtype=torch.int64), requires_grad=False)
    return module


def assign(value, shape=(3, 3), method="cayley", **settings):
    module = constrain(own(*shape), "weight", method, **settings)
    module.weight = value


def flipped(n=3):
    W = stiefel((n, n))
    W[:, 0] *= -1
    return W


def by_torch():
    return torch_parametrizations.orthogonal(torch.nn.Linear(3, 3))


def with_method(method, shape=(3, 3), module=None, **settings):
    return constrain(own(*shape) if module is None else module, "weight", method, **settings)


SHAPE = {
    "not square for scaled_cayley": (lambda: with_method("scaled_cayley", (4, 3)), r"weight must be square.*\(4, 3\)"),
    "wide for scaled_cayley": (lambda: with_method("scaled_cayley", (3, 4)), r"weight must be square.*\(3, 4\)"),
    "square with centring": (lambda: with_method("polar", centring=True), "groups must leave at most 2 rows.*got 3"),
    "tall with centring": (lambda: with_method("polar", (5, 3), centring=True), "groups must leave at most 2.*got 5"),
    "tall in groups": (lambda: with_method("polar", (8, 3), groups=2), "groups must leave at most 3 rows.*got 4"),
    "groups that do not divide": (lambda: with_method("polar", (4, 9), groups=3), "groups must divide the 4 .*got 3"),
    "groups zero": (lambda: with_method("polar", groups=0), "groups must be an integer >= 1; got 0"),
    "a bias": (lambda: constrain(torch.nn.Linear(3, 3), "bias"), r"bias must be a matrix.*got shape \(3,\)"),
    "empty": (lambda: constrain(filled(0.0, 0, 3)), r"weight must be a matrix.*got shape \(0, 3\)"),
    "transposed convolution": (lambda: constrain(torch.nn.ConvTranspose2d(2, 3, 3)), "module.*ConvTranspose2d"),
}

START = {
    "not orthogonal": (lambda: constrain(torch.nn.Linear(4, 3)), "weight must have orthonormal rows.*project=True"),
    "not orthogonal, tall": (lambda: constrain(torch.nn.Linear(3, 4)), "weight must have orthonormal columns"),
    "of another gain": (lambda: constrain(own(3, 3), gain=2.0), "orthonormal columns times gain = 2.*up to 0.75"),
    "nan": (lambda: constrain(filled(math.nan, 3, 3)), "weight must be finite; 9 entries"),
    "infinite, project": (lambda: constrain(filled(math.inf, 3, 3), project=True), "weight must be finite"),
    "rank one, project": (lambda: constrain(filled(1.0, 3, 3), project=True), "weight must have full rank"),
    "integers": (lambda: constrain(integers()), "weight must have dtype float32 or float64; got torch.int64"),
    "half precision": (lambda: constrain(own(3, 3, dtype=torch.float16)), "weight must have dtype.*float16"),
    "complex": (lambda: constrain(own(3, 3, dtype=torch.complex64)), "weight must have dtype.*complex64"),
    "frozen": (lambda: constrain(frozen()), "weight must be trainable; got a frozen"),
    "eigenvalue -1 at I": (lambda: constrain(Own(-torch.eye(2)), base="identity"), "weight must have no eigenvalue -1"),
    "wrong determinant for negative": (
        lambda: with_method("scaled_cayley", negative=1),
        r"weight times D must have.*\(-1\)\^negative",
    ),
    "outside the margin": (
        lambda: with_method("margin", module=Own(1.3 * torch.eye(3)), margin=0.2),
        "weight must have singular values.*0.2.*got 1.3 to 1.3",
    ),
    "rows not of mean 0": (lambda: with_method("polar", (2, 5), centring=True), "weight must have rows of mean 0"),
}

SETTING = {
    "method unknown": (lambda: with_method("qr"), "method must be one of 'cayley'.*'margin'; got 'qr'"),
    "method a list": (lambda: with_method(["cayley"]), "method must be one of"),
    "setting unknown": (lambda: constrain(own(3, 3), bases="start"), "bases is no setting of 'cayley'.*are base"),
    "setting of another method": (lambda: with_method("exponential", margin=0.1), "margin is no setting.*are none"),
    "gain zero": (lambda: constrain(own(3, 3), gain=0), r"gain must be a number in \[1e-06, 1e\+06\]; got 0"),
    "gain negative": (lambda: constrain(own(3, 3), gain=-1.0), "gain must.*got -1"),
    "gain nan": (lambda: constrain(own(3, 3), gain=math.nan), "gain must.*nan"),
    "gain a tensor": (lambda: constrain(own(3, 3), gain=torch.ones(2)), "gain must be a number"),
    "project a string": (lambda: constrain(own(3, 3), project="yes"), "project must be True or False"),
    "centring a number": (lambda: with_method("polar", (2, 5), centring=1), "centring must be True or False"),
    "base unknown": (lambda: constrain(own(3, 3), base="zero"), "base must be one of 'start', 'identity'"),
    "margin zero": (lambda: with_method("margin", margin=0), r"margin must be a number in \(0, 1\); got 0"),
    "margin one": (lambda: with_method("margin", margin=1.0), r"margin must be a number in \(0, 1\); got 1"),
    "margin negative": (lambda: with_method("margin", margin=-0.1), "margin must be a number"),
    "inner unknown": (lambda: with_method("margin", inner="polar"), "inner must be one of 'cayley', 'exponential'"),
    "too many negatives": (lambda: with_method("scaled_cayley", negative=4), "negative must.*0 to n = 3; got 4"),
    "negative below zero": (lambda: with_method("scaled_cayley", negative=-1), "negative must be an integer >= 0"),
    "negative a fraction": (lambda: with_method("scaled_cayley", negative=1.5), "negative must be an integer"),
    "generator of numpy": (
        lambda: with_method("scaled_cayley", generator=np.random.default_rng(0)),
        "generator must be a torch.Generator",
    ),
    "angles without a seed": (lambda: angle_blocks(4, generator="0"), "generator must"),
}

MODULE = {
    "module a tensor": (lambda: constrain(torch.eye(3)), "module must be a torch.nn.Module"),
    "name unknown": (lambda: constrain(torch.nn.Linear(3, 3), "wieght"), "name must be.*weight, bias; got 'wieght'"),
    "name of a module inside": (lambda: constrain(torch.nn.Sequential(own(3, 3)), "0.weight"), "name must.*has none"),
    "name no string": (lambda: constrain(own(3, 3), 0), "name must be a parameter of Own"),
    "constrained twice": (lambda: constrain(constrain(own(3, 3))), "name.*'weight' is constrained already"),
    "constrained by torch": (lambda: constrain(by_torch()), "name.*'weight' is constrained already"),
    "release of what is free": (lambda: release(torch.nn.Linear(3, 3)), "name must be a constrained.*has none"),
    "release twice": (lambda: release(release(constrain(own(3, 3)))), "name must be a constrained.*has none"),
    "release of another name": (lambda: release(constrain(own(3, 3)), "bias"), r"name must.*\(weight\); got 'bias'"),
    "release of torch's": (lambda: release(by_torch()), "name must be a constrained"),
    "release of no module": (lambda: release(3), "module must be a torch.nn.Module; got 3"),
    "keep unknown": (lambda: release(constrain(own(3, 3)), keep="start"), "keep must be one of 'value', 'parameter'"),
    "three free tensors": (lambda: release(with_method("margin"), keep="parameter"), "keep must be 'value'"),
    "constraint of a free weight": (lambda: constraint_of(torch.nn.Linear(2, 2)), "name must be a constrained"),
}

ASSIGNED = {
    "not orthogonal": (lambda: assign(2 * torch.eye(3).double()), "weight must have orthonormal columns"),
    "of another shape": (lambda: assign(stiefel((3, 2))), r"weight must have shape \(3, 3\).*got \(3, 2\)"),
    "of another dtype": (lambda: assign(torch.eye(3)), "weight must have.*dtype, torch.float64; got torch.float32"),
    "an array": (lambda: assign(np.eye(3)), "weight must be a torch tensor"),
    "nan": (lambda: assign(torch.full((3, 3), math.nan).double()), "weight must be finite"),
    "beyond the plain transform": (lambda: assign(flipped(), base="identity"), "weight must have no eigenvalue -1"),
}

CASES = {
    f"{group}: {name}": case
    for group, cases in (
        ("shape", SHAPE),
        ("start", START),
        ("setting", SETTING),
        ("module", MODULE),
        ("assigned", ASSIGNED),
    )
    for name, case in cases.items()
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error::UserWarning")
def test_misuse(case):
    call, says = CASES[case]
    with pytest.raises(ArgumentError, match=says) as caught:
        call()
    # The traceback ends in our code: nothing was raised in the depths of torch.
    raised_in = Path(traceback.extract_tb(caught.value.__traceback__)[-1].filename)
    assert HOME in raised_in.parents


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda: torch.nn.Linear(3, 3), {}),
        (lambda: filled(1.0, 3, 3), {"project": True}),
        (lambda: Own(-torch.eye(2)), {"base": "identity"}),
        (lambda: own(2, 5), {"method": "polar", "centring": True}),
        (lambda: Own(1.3 * torch.eye(3)), {"method": "margin"}),
    ],
)
def test_a_refused_start_leaves_the_module_as_it_was(make, settings):
    module = make()
    weight, value, kind = module.weight, module.weight.detach().clone(), type(module)
    with pytest.raises(ArgumentError):
        constrain(module, **settings)
    assert type(module) is kind
    assert module.weight is weight
    assert torch.equal(module.weight, value)


def test_a_refused_assignment_leaves_the_weight_as_it_was():
    module = constrain(own(3, 3))
    before = module.weight.detach().clone()
    with pytest.raises(ArgumentError, match="orthonormal"):
        module.weight = 2 * before
    assert torch.equal(module.weight, before)
    margin = with_method("margin")
    before = margin.weight.detach().clone()
    with pytest.raises(ArgumentError, match="singular values"):
        margin.weight = 2 * before
    assert torch.equal(margin.weight, before)
