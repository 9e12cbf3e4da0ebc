"""An independent solution of the S-transform equation: turn lambda from the negative axis, where x is real and unique.

Nothing of ortholab.theory.spectrum is used: its own quadrature, its own unknown, its own path.
"""

import numpy as np


def dense_law(dphi, q, nodes=6000):
    """D and weights on one long Gauss-Legendre panel, z in [-9, 9]."""
    x, w = np.polynomial.legendre.leggauss(nodes // 10)
    edges = np.linspace(-9, 9, 11)
    z = (0.5 * (edges[1:] + edges[:-1])[:, None] + 0.9 * x).ravel()
    return dphi(np.sqrt(q) * z) ** 2, np.tile(0.9 * w, 10) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def rotate(log_lambda, d, weight, depth, gaussian, log_gain, steps=100):
    """m = lambda G - 1 just above the positive axis, for an array of log lambda (complex, Im m < 0 on the support)."""
    L = depth

    def forward(x):
        gap = x[:, None] - d
        m, one = np.sum(weight * d / gap, axis=1), x * np.sum(weight / gap, axis=1)
        dm = -np.sum(weight * d / gap**2, axis=1)
        value = np.log(one) - np.log(m) + L * (np.log(m * x) + log_gain) - (0 if gaussian else L) * np.log(one)
        slope = dm * ((1 - (0 if gaussian else L)) / one - 1 / m + L / m) + L / x
        return m, value, slope

    low, high = np.full(log_lambda.shape, -700.0), np.full(log_lambda.shape, 700.0)
    for _ in range(90):  # lambda(x) is real and monotone on x < 0
        middle = 0.5 * (low + high)
        up = forward(-np.exp(middle) + 0j)[1].real < log_lambda
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    log_x = 0.5 * (low + high) + 1j * np.pi * (1 - 1e-14)
    angles = np.concatenate([np.linspace(np.pi, 0.3, steps // 2), np.geomspace(0.3, 1e-7, steps // 2)[1:]])
    now = np.pi
    for angle in angles[1:]:
        x = np.exp(log_x)
        log_x = log_x + 1j * (angle - now) / (forward(x)[2] * x)
        now = angle
        for _ in range(4):
            x = np.exp(log_x)
            _, value, slope = forward(x)
            log_x = log_x - (value - (log_lambda + 1j * angle)) / (slope * x)
    return forward(np.exp(log_x))[0]
