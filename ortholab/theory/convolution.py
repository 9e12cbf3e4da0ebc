"""Convolutions on a ring of pixels: their singular values are those of their Fourier symbol, their modes decay by it.

A layer y_a = sum_b W_b x_(a+b), pixels a on a ring (a torus) and offsets b centred, maps a wave exp(2 pi i k a / n) u
to the same wave times What(k) u. So everything about it is known from the matrices What(k).
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import ArgumentError, bad, check_array, check_choice, check_generator, check_int, check_number
from ortholab.theory.ensembles import gaussian, haar

KERNELS = ("delta-orthogonal", "reshaped orthogonal", "gaussian")


def sample_kernel(
    kind: str,
    channels: int,
    taps: tuple[int, ...],
    *,
    sigma_w: float = 1.0,
    rng: np.random.Generator | int,
    batch: tuple[int, ...] = (),
) -> np.ndarray:
    """Draw a square kernel (*batch, channels, channels, *taps); its taps' variances add up to sigma_w^2 / channels.

    "gaussian": entries N(0, sigma_w^2 / (K channels)), K = prod(taps). "reshaped orthogonal": sigma_w times a Haar
    matrix (channels, K channels) with orthonormal rows, cut into taps. "delta-orthogonal": sigma_w times a Haar matrix
    at the centre tap, 0 elsewhere. Raises ArgumentError. Source: arXiv 1806.05393.

    >>> sample_kernel("delta-orthogonal", 2, (3,), rng=0)[:, :, 0].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    check_choice("kind", kind, KERNELS)
    channels, sigma_w = check_int("channels", channels, 1), check_number("sigma_w", sigma_w, low=0, open_low=True)
    taps, rng = _sizes("taps", taps), check_generator(rng)
    if any(k % 2 == 0 for k in taps):
        raise bad("taps", taps, "odd numbers")
    shape, count = (*batch, channels, channels, *taps), int(np.prod(taps))
    if kind == "delta-orthogonal":
        kernel = np.zeros(shape)
        kernel[(..., *(k // 2 for k in taps))] = sigma_w * haar(channels, rng=rng, batch=batch)
        return kernel
    if kind == "gaussian":
        return sigma_w * gaussian(channels, count * channels, rng=rng, batch=batch).reshape(shape)
    return sigma_w * np.swapaxes(haar(count * channels, channels, rng=rng, batch=batch), -1, -2).reshape(shape)


def symbol(kernel: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return What(k) = sum_b W_b exp(2 pi i k.b / n) at every frequency k, shape (*size, c_out, c_in), complex.

    ``kernel``: (c_out, c_in, *taps) as torch has it (y_a = sum_b W_b x_(a+b)), ``size`` the ring's n along each axis,
    none smaller than the taps. Raises ArgumentError. Source: Sedghi, Gupta and Long 2019 (arXiv 1805.10408).

    >>> symbol(np.eye(2)[:, :, None], (4,)).shape
    (4, 2, 2)
    """
    kernel, size = check_array("kernel", kernel), _sizes("size", size)
    if kernel.ndim != len(size) + 2 or any(k > n for k, n in zip(kernel.shape[2:], size, strict=True)):
        raise ArgumentError(f"kernel must be (c_out, c_in, *taps) with taps at most {size}; got {kernel.shape}")
    axes = tuple(range(2, kernel.ndim))
    padded = np.zeros((*kernel.shape[:2], *size))
    padded[(slice(None), slice(None), *(slice(k) for k in kernel.shape[2:]))] = kernel
    centred = np.roll(padded, [-(k // 2) for k in kernel.shape[2:]], axes)
    # conj: numpy's sign is the other one, and the kernel is real
    return np.moveaxis(np.conj(np.fft.fftn(centred, axes=axes)), (0, 1), (-2, -1))


def singular_values(kernel: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return all singular values of the ring convolution, descending: those of What(k) at every k.

    prod(size) min(c_out, c_in) of them. Raises ArgumentError. Source: arXiv 1805.10408.

    >>> singular_values(2 * np.eye(2)[:, :, None], (3,)).tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    return np.sort(np.linalg.svd(symbol(kernel, size), compute_uv=False).ravel())[::-1]


def reshaped_edge(depth: int, taps: int) -> float:
    """Return the largest singular value of ``depth`` reshaped-orthogonal layers with K = ``taps`` taps, sigma_w = 1.

    At each frequency S = (1 + m/K)/(1 + m), so lambda(m) = (1 + m)/m [(1 + m)/(1 + m/K)]^L, least at
    m = K / (L (K - 1) - 1). Infinitely many channels, linear; K = 1 is orthogonal, with edge 1, and K -> infinity is
    the Gaussian edge. Raises ArgumentError. Source: this book, by the S-transform.

    >>> round(reshaped_edge(1, 9) ** 2, 4), reshaped_edge(5, 1)  # 4 (1 - 1/9), the top of one layer
    (3.5556, 1.0)
    """
    L, K = check_int("depth", depth, 1), check_int("taps", taps, 1)
    if K == 1:
        return 1.0
    if L * (K - 1) == 1:  # K = 2, L = 1: the minimum has gone to infinity, where lambda is K
        return float(np.sqrt(2.0))
    m = K / (L * (K - 1) - 1)
    return float(np.exp(0.5 * (np.log1p(1 / m) + L * (np.log1p(m) - np.log1p(m / K)))))


def reshaped_density(s: np.ndarray, taps: int) -> np.ndarray:
    """Return the density of the singular values of one reshaped-orthogonal layer with K = ``taps`` >= 2 taps.

    rho(s) = (K/pi) sqrt(s_max^2 - s^2) / (K - s^2) on [0, s_max], s_max^2 = 4 (1 - 1/K): the law of the square
    truncation of a Haar matrix of K times its size, times sqrt(K). sigma_w = 1, infinitely many channels.
    K -> infinity is the quarter circle. Raises ArgumentError. Source: Wachter 1980.

    >>> reshaped_density(np.array([0.0, 1.9]), 9).round(4).tolist()
    [0.6002, 0.0]
    """
    s, K = check_array("s", s, low=0.0), check_int("taps", taps, 2)
    return K / np.pi * np.sqrt(np.maximum(4 * (1 - 1 / K) - s**2, 0)) / (K - np.minimum(s**2, 4))


def mode_decay(variances: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return lambda_k = sum_b v_b exp(2 pi i k.b / n): what a layer does to mode k of a map of squared lengths.

    ``variances``: v_b >= 0, an odd number of taps along each axis, with sum 1 (a tap's share of sigma_w^2). In mean
    field, delta_a <- chi sum_b v_b delta_(a+b), where delta_a is the mean square over the channels of a small change
    at pixel a; so mode k is multiplied by chi lambda_k. |lambda_k| = 1 at all k only for a single tap.
    Real for symmetric v; complex, shape ``size``. Raises ArgumentError. Source: arXiv 1806.05393.

    >>> mode_decay(np.full(3, 1 / 3), (4,)).real.round(4).tolist()
    [1.0, 0.3333, -0.3333, 0.3333]
    """
    variances = check_array("variances", variances, low=0.0)
    if abs(variances.sum() - 1) > 1e-9:
        raise bad("variances", float(variances.sum()), "of sum 1")
    if any(k % 2 == 0 for k in variances.shape):
        raise ArgumentError(f"variances must have an odd number of taps; got shape {variances.shape}")
    return symbol(variances[None, None], size)[..., 0, 0]


def _sizes(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or not value:
        raise bad(name, value, "a tuple of positive integers")
    return tuple(check_int(f"{name}[{i}]", n, 1) for i, n in enumerate(value))
