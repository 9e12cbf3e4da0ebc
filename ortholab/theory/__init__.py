"""Theory of random deep networks, in numpy and scipy only: it runs unchanged inside a reader's browser.

Arrays of other libraries, torch's too, may be given to the modules of the Stiefel manifold and its penalties, which
follow the Array API standard. One object a file; each infinite-width statement has a finite-width twin in
:mod:`ortholab.theory.simulate`.
"""

from ortholab.theory import (
    convolution,
    deep_linear,
    penalties,
    penalty_flow,
    recurrent,
    reflections,
    retractions,
    ring,
    simulate,
    stiefel,
)
from ortholab.theory.activations import (
    ACTIVATIONS,
    ERF,
    GELU,
    HARD_TANH,
    LINEAR,
    RELU,
    SILU,
    TANH,
    Activation,
    get_activation,
    own_activation,
)
from ortholab.theory.common_activations import ELU, SELU, SIGMOID, SOFTPLUS, elu, leaky_relu
from ortholab.theory.correlation import (
    DepthScales,
    c_star,
    correlation_map,
    correlation_slope,
    covariance_map,
    depth_scales,
)
from ortholab.theory.critical import CriticalPoint, critical_at, critical_point, critical_points
from ortholab.theory.ensembles import gaussian, haar, weights
from ortholab.theory.finite_width import edge_error, log_length_variance, width_for
from ortholab.theory.free_moments import free_moments
from ortholab.theory.fuss_catalan import fuss_catalan_cdf, fuss_catalan_density, fuss_catalan_edge
from ortholab.theory.gaussian import expect, expect2
from ortholab.theory.hermite import CorrelationSeries, hermite_coefficients
from ortholab.theory.lyapunov import lyapunov_exponents
from ortholab.theory.mean_field import (
    FixedPoint,
    FixedPoints,
    chi,
    fixed_points,
    phase,
    q_star,
    variance_map,
    variance_trajectory,
)
from ortholab.theory.plane import CriticalLine, PhasePlane
from ortholab.theory.products import log_singular_values
from ortholab.theory.recurrent import critical_gain, critical_gain_over_time
from ortholab.theory.spectrum import JacobianSpectrum
from ortholab.theory.start import IsometricStart, isometric_start, relative_spread
from ortholab.theory.trace import Trace, trace_spectrum
from ortholab.theory.universality import UniversalSpectrum

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "ERF",
    "GELU",
    "HARD_TANH",
    "LINEAR",
    "RELU",
    "SELU",
    "SIGMOID",
    "SILU",
    "SOFTPLUS",
    "TANH",
    "Activation",
    "CorrelationSeries",
    "CriticalLine",
    "CriticalPoint",
    "DepthScales",
    "FixedPoint",
    "FixedPoints",
    "IsometricStart",
    "JacobianSpectrum",
    "PhasePlane",
    "Trace",
    "UniversalSpectrum",
    "c_star",
    "chi",
    "convolution",
    "correlation_map",
    "correlation_slope",
    "covariance_map",
    "critical_at",
    "critical_gain",
    "critical_gain_over_time",
    "critical_point",
    "critical_points",
    "deep_linear",
    "depth_scales",
    "edge_error",
    "elu",
    "expect",
    "expect2",
    "fixed_points",
    "free_moments",
    "fuss_catalan_cdf",
    "fuss_catalan_density",
    "fuss_catalan_edge",
    "gaussian",
    "get_activation",
    "haar",
    "hermite_coefficients",
    "isometric_start",
    "leaky_relu",
    "log_length_variance",
    "log_singular_values",
    "lyapunov_exponents",
    "own_activation",
    "penalties",
    "penalty_flow",
    "phase",
    "q_star",
    "recurrent",
    "reflections",
    "relative_spread",
    "retractions",
    "ring",
    "simulate",
    "stiefel",
    "trace_spectrum",
    "variance_map",
    "variance_trajectory",
    "weights",
    "width_for",
]  # fmt: skip
