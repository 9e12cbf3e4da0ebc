r"""Linear recurrences with a diagonal of complex eigenvalues: their ring, their memory, and their scan.

The recurrence is h_t = lambda * h_{t-1} + u_t, entry by entry, h_0 = 0, t = 1 ... T. A linear recurrence with a matrix
A = P diag(lambda) P^{-1} becomes this one in the coordinates P^{-1} h, and almost every A can be so written. The
eigenvalues start in the ring r_min <= |lambda| <= r_max, uniform in area. Source: Orvieto et al. 2023
(arXiv 2303.06349), who call the layer a linear recurrent unit (LRU).
"""

from __future__ import annotations

import math

import numpy as np

from ortholab.errors import ArgumentError, bad, check_array, check_generator, check_int, check_number


def check_ring(r_min: float, r_max: float) -> tuple[float, float]:
    """Return the two radii, or raise ArgumentError unless 0 <= r_min < r_max <= 1.

    >>> check_ring(0, 1)
    (0.0, 1.0)
    """
    r_max = check_number("r_max", r_max, low=0.0, high=1.0, open_low=True)
    return check_number("r_min", r_min, low=0.0, high=r_max, open_high=True), r_max


def decay_rate(u: np.ndarray, r_min: float, r_max: float) -> np.ndarray:
    """Return nu = -1/2 log(u (r_max^2 - r_min^2) + r_min^2), so that |lambda| = exp(-nu).

    For u uniform in (0, 1) lambda is uniform in area on the ring: P(|lambda| <= r) = :func:`modulus_cdf`. u has any
    shape, entries in the open interval, where nu is positive and finite. Raises ArgumentError.

    >>> np.exp(-decay_rate(np.array([0.25, 0.5]), 0.0, 1.0)).round(4).tolist()
    [0.5, 0.7071]
    """
    r_min, r_max = check_ring(r_min, r_max)
    u = check_array("u", u)
    if u.size and (u.min() <= 0 or u.max() >= 1):
        raise bad("u", [float(u.min()), float(u.max())], "numbers in the open interval (0, 1)")
    return -0.5 * np.log(u * (r_max**2 - r_min**2) + r_min**2)


def modulus_cdf(r: np.ndarray, r_min: float, r_max: float) -> np.ndarray:
    """Return P(|lambda| <= r) = (r^2 - r_min^2) / (r_max^2 - r_min^2), 0 below the ring and 1 above it.

    Raises ArgumentError.

    >>> modulus_cdf(np.array([0.0, 0.5, 1.0]), 0.0, 1.0).tolist()
    [0.0, 0.25, 1.0]
    """
    r_min, r_max = check_ring(r_min, r_max)
    r = check_array("r", r, low=0.0)
    return np.clip((r**2 - r_min**2) / (r_max**2 - r_min**2), 0.0, 1.0)


def sample_ring(
    n: int, r_min: float = 0.0, r_max: float = 1.0, *, phase: float = 2 * math.pi, rng: np.random.Generator | int
) -> np.ndarray:
    """Draw n eigenvalues exp(-nu + i theta), uniform in area on the ring; theta is uniform in [0, ``phase``).

    Complex, shape (n,). Raises ArgumentError.

    >>> lam = sample_ring(1000, 0.9, 0.999, rng=0)
    >>> bool(0.9 <= abs(lam).min() and abs(lam).max() <= 0.999)
    True
    """
    n, phase = check_int("n", n, 1), check_number("phase", phase, low=0.0, high=2 * math.pi, open_low=True)
    rng = check_generator(rng)
    nu = decay_rate(rng.uniform(np.finfo(float).tiny, 1, n), r_min, r_max)
    return np.exp(-nu + 1j * phase * rng.random(n))


def normaliser(lam: np.ndarray) -> np.ndarray:
    """Return gamma = sqrt(1 - |lambda|^2): with inputs gamma u_t, E|u_t|^2 = 1, the state tends to variance 1.

    Computed as sqrt((1 - |lambda|) (1 + |lambda|)). Holds for white inputs; constant ones give |gamma / (1 - lambda)|.
    Raises ArgumentError unless |lambda| < 1.

    >>> normaliser(np.array([0.0, 0.6, 0.8j])).round(12).tolist()
    [1.0, 0.8, 0.6]
    """
    r = _moduli(lam)
    return np.sqrt((1 - r) * (1 + r))


def state_variance(lam: np.ndarray, steps: int) -> np.ndarray:
    """Return E|h_T|^2 = (1 - |lambda|^(2 T)) / (1 - |lambda|^2) after T = ``steps`` white inputs of E|u_t|^2 = 1.

    Sampler twin: :func:`scan` on Gaussian inputs. Raises ArgumentError unless |lambda| < 1.

    >>> state_variance(np.array([0.5]), 2).tolist()
    [1.25]
    """
    r, steps = _moduli(lam), check_int("steps", steps, 1)
    return (1 - r ** (2 * steps)) / ((1 - r) * (1 + r))


def gradient_energy(steps: int, r_min: float, r_max: float) -> float:
    """Return E|lambda|^(2 T), T = ``steps``: the mean square of the singular values of the Jacobian dh_{t+T}/dh_t.

        ( r_max^(2 T + 2) - r_min^(2 T + 2) ) / ( (T + 1) (r_max^2 - r_min^2) )

    A mean over the ring; a draw of n eigenvalues scatters about it. With r_max = 1 it falls like 1 / T, with r_max < 1
    exponentially. Raises ArgumentError.

    >>> gradient_energy(99, 0.0, 1.0)
    0.01
    """
    steps = check_int("steps", steps)
    r_min, r_max = check_ring(r_min, r_max)
    power = 2 * steps + 2
    return float((r_max**power - r_min**power) / ((steps + 1) * (r_max**2 - r_min**2)))


def reach(r: float, share: float = math.exp(-1)) -> float:
    """Return the number of steps after which r^T has come down to ``share``, log(share) / log(r).

    For share = 1/e and r near 1 it is 1 / (1 - r), less 1/2: the memory length. Raises ArgumentError.

    >>> round(reach(0.99), 1), round(reach(0.9, share=0.01), 1)
    (99.5, 43.7)
    """
    r = check_number("r", r, low=0.0, high=1.0, open_low=True, open_high=True)
    share = check_number("share", share, low=0.0, high=1.0, open_low=True, open_high=True)
    return math.log(share) / math.log(r)


def loop(lam: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return h_1 ... h_T of h_t = lambda * h_{t-1} + u_t, one step after another; u is (T, ..., n), lambda (n,).

    Raises ArgumentError.

    >>> loop(np.array([0.5]), np.ones((3, 1)))[:, 0].real.tolist()
    [1.0, 1.5, 1.75]
    """
    lam, u = _recurrence(lam, u)
    states, h = np.empty_like(u), np.zeros_like(u[0])
    for t, value in enumerate(u):
        h = states[t] = lam * h + value
    return states


def combine(first: tuple, second: tuple) -> tuple:
    """Return the composition of two affine maps h -> a h + b, the first applied first: (a2 a1, a2 b1 + b2).

    It is associative, which is all that a parallel scan asks for.

    >>> combine((0.5, 1.0), (0.5, 1.0))
    (0.25, 1.5)
    """
    (a1, b1), (a2, b2) = first, second
    return a2 * a1, a2 * b1 + b2


def scan(lam: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return what :func:`loop` does in ceil(log2 T) rounds, each of which works on all times at once.

    Before round k = 0, 1, ... place t holds the composition of the last 2^k maps; the round composes it with what place
    t - 2^k holds. The work is T log2 T, more than the loop's, and the rounds are what a parallel machine waits for.
    Raises ArgumentError. Source: Hillis, Steele 1986.

    >>> scan(np.array([0.5]), np.ones((3, 1)))[:, 0].real.tolist()
    [1.0, 1.5, 1.75]
    """
    lam, u = _recurrence(lam, u)
    T = len(u)
    a, b = np.broadcast_to(lam, (T, len(lam))).reshape(T, *[1] * (u.ndim - 2), len(lam)).copy(), u
    distance = 1
    while distance < T:
        new_a, new_b = combine((a[:-distance], b[:-distance]), (a[distance:], b[distance:]))
        a, b = np.concatenate([a[:distance], new_a]), np.concatenate([b[:distance], new_b])
        distance *= 2
    return b


def _moduli(lam: object) -> np.ndarray:
    r = np.abs(_complex("lam", lam))
    if r.size and r.max() >= 1:
        raise ArgumentError(f"lam must have moduli below 1; got one of {r.max():.6g}")
    return r


def _complex(name: str, value: object) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iufc":
        raise bad(name, value, "an array of numbers")
    if not np.isfinite(array).all():
        raise ArgumentError(f"{name} must be finite; some entries of shape {array.shape} are not")
    return array


def _recurrence(lam: object, u: object) -> tuple[np.ndarray, np.ndarray]:
    lam, u = _complex("lam", lam), _complex("u", u)
    if lam.ndim != 1 or u.ndim < 2 or u.shape[-1] != len(lam) or 0 in u.shape:
        raise ArgumentError(f"u must be (T, ..., n) for lam (n,), no axis empty; got {u.shape} and {lam.shape}")
    kind = np.result_type(lam, u, np.complex64)
    return lam.astype(kind), u.astype(kind)
