"""Mean-field theory of a recurrent network that is driven by its inputs, and the gain that is critical for them.

The network is h_t = phi(a_t) with a_t = W h_{t-1} + W_in x_t + b, the same W at every step. ``gain`` is what sigma_w
is elsewhere: W = gain times a Haar matrix, or Var W_ij = gain^2 / n. ``input_variance`` is the variance over the units
of the drive W_in x_t + b; it stands where sigma_b^2 stands in a deep network. Sources: Poole et al. 2016 (arXiv
1606.05340) for the map; Chen, Pennington, Schoenholz 2018 (1806.05394) for recurrent networks.
"""

from __future__ import annotations

from ortholab.errors import check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.critical import critical_at, critical_point


def critical_gain(activation: str | Activation, input_variance: float) -> float:
    """Return the gain g at which chi = g^2 E[phi'(sqrt(q) z)^2] = 1, at the q that this drive keeps up.

    q = g^2 E[phi(sqrt(q) z)^2] + input_variance. For linear and ReLU networks phi'^2 has the same mean at every q,
    so the answer is 1 and sqrt(2) for every drive, though with a drive q then grows without bound. Holds for n ->
    infinity and inputs that are drawn anew at each step. Raises ArgumentError for input_variance < 0 and
    NoFixedPointError if there is no such gain or more than one.

    >>> [round(critical_gain("tanh", v), 3) for v in (2e-5, 0.01, 0.1, 0.5)]
    [1.025, 1.193, 1.409, 1.686]
    """
    activation = get_activation(activation)
    input_variance = check_number("input_variance", input_variance, low=0.0)
    if activation.degree_one:
        return critical_at(activation, 1.0).sigma_w
    return critical_point(activation, input_variance**0.5).sigma_w
