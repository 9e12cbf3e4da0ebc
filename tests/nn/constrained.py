"""Modules, starts and the list of methods that the tests of ortholab.nn.parametrize share."""

import torch

from ortholab.nn import haar
from ortholab.nn.parametrize import constrain

# Every method, with the settings that its tests take: (id, method, settings).
METHODS = [
    ("cayley", "cayley", {}),
    ("cayley at I", "cayley", {"base": "identity"}),
    ("scaled cayley", "scaled_cayley", {}),
    ("exponential", "exponential", {}),
    ("polar", "polar", {}),
    ("polar, centred", "polar", {"centring": True}),
    ("polar, 2 groups", "polar", {"groups": 2}),
    ("reflections", "reflections", {}),
    ("margin", "margin", {"margin": 0.2}),
    ("margin, exponential", "margin", {"margin": 0.2, "inner": "exponential"}),
]
SHAPES = [(1, 1), (6, 6), (6, 5), (9, 2), (2, 9), (2, 6, 3), (2, 3, 4, 6)]
# Both sides of the choice that the exponential makes at n = 2 k are among them: (6, 5), (9, 2) and (6, 3).


class Own(torch.nn.Module):
    """A module of one's own with one parameter."""

    def __init__(self, W):
        super().__init__()
        self.weight = torch.nn.Parameter(W.clone())

    def forward(self, x):
        return x @ self.weight.mT


def fits(method, settings, shape):
    """Say whether the method has matrices of this shape."""
    n, k = shape[-2:]
    if method == "scaled_cayley":
        return n == k
    rows = n // settings.get("groups", 1)
    if settings.get("groups", 1) > 1 and (n % settings["groups"] or rows > k):
        return False
    return not settings.get("centring") or rows < k


CASES = [(*case, shape) for case in METHODS for shape in SHAPES if fits(case[1], case[2], shape)]
IDS = [f"{case[0]} {'x'.join(map(str, case[3]))}" for case in CASES]


def stiefel(shape, gain=1.0, seed=0, dtype=torch.float64, positive=True):
    """Draw gain times a Haar matrix; square ones have a determinant of one sign, so that a transform reaches them."""
    n, k = shape[-2:]
    Q = haar(max(n, k), min(n, k), generator=seed, batch=tuple(shape[:-2]), dtype=dtype)
    if n == k and positive:
        Q[..., 0] *= torch.linalg.det(Q).sign().unsqueeze(-1)
    return gain * (Q if n >= k else Q.mT)


def start(settings, shape, gain=1.0, seed=0, dtype=torch.float64):
    """Draw a weight that the method can start from: orthogonal, in groups, with rows of mean 0 if they are centred."""
    groups = settings.get("groups", 1)
    if groups > 1:
        n, k = shape[-2:]
        return stiefel((*shape[:-2], groups, n // groups, k), gain, seed, dtype).reshape(shape)
    if settings.get("centring"):
        k = shape[-1]
        rows = stiefel((*shape[:-1], k - 1), gain, seed, dtype)
        plane = torch.linalg.svd(torch.ones(1, k, dtype=dtype)).Vh[1:]  # an orthonormal basis of what has mean 0
        return rows @ plane
    return stiefel(shape, gain, seed, dtype)


def constrained(method, settings, shape, gain=1.0, seed=0, dtype=torch.float64):
    """Make a constrained module at a random start; return it and the start."""
    W = start(settings, shape, gain, seed, dtype)
    return constrain(Own(W), "weight", method, gain=gain, **settings), W


def move(module, size=0.3, seed=1):
    """Add Gaussian noise to the free parameters, so that no test looks only at A = 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p += size * torch.randn(p.shape, generator=generator, dtype=p.dtype)


def error(W, gain=1.0, groups=1):
    """||W^T W / gain^2 - I||_F on the short side, in float64, the largest of a batch and of the groups."""
    W = W.detach().double() / gain
    W = W.reshape(*W.shape[:-2], groups, W.shape[-2] // groups, W.shape[-1])
    X = W if W.shape[-2] >= W.shape[-1] else W.mT
    E = X.mT @ X - torch.eye(X.shape[-1], dtype=X.dtype)
    return torch.linalg.matrix_norm(E).max().item()
