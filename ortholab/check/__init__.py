"""Property checks that teach: the same functions serve assignments, their hidden tests and a reader's self-checks.

Each takes your function or array, tries it on random inputs, and is silent or raises :class:`CheckFailed` with what
failed, on which input, and what that suggests.

>>> from ortholab import check
>>> check.gradient(lambda W: (W**2).sum(), lambda W: W, (2, 2))
Traceback (most recent call last):
ortholab.check._core.CheckFailed: along ... It is 0.5 times the right one: a factor is lost.
"""

from ortholab.check._core import CheckFailed
from ortholab.check.audits import audit_plan, interval_by_seed, leaky_mean_square, verdict
from ortholab.check.critical import critical_line
from ortholab.check.gains import column_gradient, column_penalty, flat_witness, rest_witness
from ortholab.check.general import agrees, gradient, tell
from ortholab.check.inference import comparison, paired_interval
from ortholab.check.learning import learning_time, race
from ortholab.check.lengths import log_length, signal_walk
from ortholab.check.manifold import tangent_projection
from ortholab.check.paths import measured_order, orders_of_retractions, two_cayley_steps
from ortholab.check.penalties import log_penalty, log_penalty_gradient, own_gradient, srip, srip_gradient, stuck_witness
from ortholab.check.recurrent import alternating_gain, growth_witness, leaky_jacobian, loudest
from ortholab.check.retractions import cayley_retraction, jump_witness, lean, qr_retraction, retraction
from ortholab.check.sampling import haar, haar_witness
from ortholab.check.signals import audit_witnesses, isometry_audit, ordered_jacobian
from ortholab.check.skip import skip_means, skip_network
from ortholab.check.spectra import bottleneck, fuss_catalan, isometric_q

__all__ = [
    "CheckFailed",
    "agrees",
    "alternating_gain",
    "audit_plan",
    "audit_witnesses",
    "bottleneck",
    "cayley_retraction",
    "column_gradient",
    "column_penalty",
    "comparison",
    "critical_line",
    "flat_witness",
    "fuss_catalan",
    "gradient",
    "growth_witness",
    "haar",
    "haar_witness",
    "interval_by_seed",
    "isometric_q",
    "isometry_audit",
    "jump_witness",
    "leaky_jacobian",
    "leaky_mean_square",
    "lean",
    "learning_time",
    "log_length",
    "log_penalty",
    "log_penalty_gradient",
    "loudest",
    "measured_order",
    "ordered_jacobian",
    "orders_of_retractions",
    "own_gradient",
    "paired_interval",
    "qr_retraction",
    "race",
    "rest_witness",
    "retraction",
    "signal_walk",
    "skip_means",
    "skip_network",
    "srip",
    "srip_gradient",
    "stuck_witness",
    "tangent_projection",
    "tell",
    "two_cayley_steps",
    "verdict",
]
