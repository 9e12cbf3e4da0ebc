"""What the experiments on deep networks run: the tiers of Figure 4, of its searches, other optimisers and depths."""

from __future__ import annotations

from dataclasses import replace

from ortholab.errors import check_choice
from ortholab.experiments.deep_nets import NETWORKS, OPTIMISERS, DeepNetsSpec

SEARCH_SEED = 100
# The grid of step sizes, half a decade apart; an adaptive rule moves each weight by about the step size itself, however
# small its gradient, so its grid lies lower.
SEARCH_RATES = {
    optimiser: tuple(10 ** (-k / 2) for k in (range(4, 13) if optimiser in ("adam", "rmsprop") else range(9)))
    for optimiser in OPTIMISERS
}

# The step sizes at which the tiers run: the winners of the searches below. Where a search did not decide, the budget
# does: a network that no step size had brought clearly off chance level by its end (accuracy below .15) runs at its two
# best, and one whose best lay at the edge of its bracket runs at the next one too.
RATES = {
    "full": {
        ("tanh1.05-orthogonal", "sgd"): (1e-2,),
        ("tanh1.05-gaussian", "sgd"): (10**-2.5,),
        ("tanh2-orthogonal", "sgd"): (10**-2.5,),
        ("tanh2-gaussian", "sgd"): (10**-2.5, 1e-3),
        ("relu-orthogonal", "sgd"): (10**-2.5, 1e-3),
        ("relu-gaussian", "sgd"): (10**-2.5, 1e-3),
        ("tanh1.05-orthogonal", "adam"): (1e-5,),
        ("tanh1.05-gaussian", "adam"): (10**-5.5,),
        ("tanh2-orthogonal", "adam"): (1e-5, 10**-5.5),
        ("tanh2-gaussian", "adam"): (1e-5, 10**-5.5),
        ("relu-orthogonal", "adam"): (10**-5.5, 1e-6),
        ("relu-gaussian", "adam"): (10**-5.5, 1e-6),
    },
    "quick": {
        ("tanh1.05-orthogonal", "sgd"): (10**-1.5,),
        ("tanh1.05-gaussian", "sgd"): (1e-2,),
        ("tanh2-orthogonal", "sgd"): (1e-2,),
        ("tanh2-gaussian", "sgd"): (1e-2,),
        ("relu-orthogonal", "sgd"): (1e-2,),
        ("relu-gaussian", "sgd"): (1e-2,),
        ("tanh1.05-orthogonal", "momentum"): (10**-1.5,),
        ("tanh1.05-gaussian", "momentum"): (1e-2,),
        ("tanh2-orthogonal", "momentum"): (10**-2.5,),
        ("tanh2-gaussian", "momentum"): (1e-3,),
        ("relu-orthogonal", "momentum"): (10**-2.5,),
        ("relu-gaussian", "momentum"): (10**-2.5,),
        ("tanh1.05-orthogonal", "adam"): (1e-3,),
        ("tanh1.05-gaussian", "adam"): (10**-3.5,),
        ("tanh2-orthogonal", "adam"): (1e-4,),
        ("tanh2-gaussian", "adam"): (1e-4,),
        ("relu-orthogonal", "adam"): (1e-4,),
        ("relu-gaussian", "adam"): (10**-3.5,),
        ("tanh1.05-orthogonal", "rmsprop"): (1e-4,),
        ("tanh1.05-gaussian", "rmsprop"): (10**-4.5,),
        ("tanh2-orthogonal", "rmsprop"): (10**-4.5,),
        ("tanh2-gaussian", "rmsprop"): (10**-4.5,),
        ("relu-orthogonal", "rmsprop"): (10**-4.5,),
        ("relu-gaussian", "rmsprop"): (1e-4,),
    },
}


def plan(optimisers: tuple[str, ...] = ("sgd",), tier: str = "full") -> tuple[tuple[str, str, tuple[float, ...]], ...]:
    """Return the six networks at the step sizes that the search of a tier ("full" or "quick") chose.

    >>> plan()[0]
    ('tanh1.05-orthogonal', 'sgd', (0.01,))
    """
    rates = RATES[check_choice("tier", tier, tuple(RATES))]
    for optimiser in optimisers:
        known = tuple(sorted({name for _, name in rates}))
        check_choice("optimisers", optimiser, known)
    return tuple((network, optimiser, rates[network, optimiser]) for optimiser in optimisers for network in NETWORKS)


def search(spec: DeepNetsSpec, target: float, max_steps: int) -> DeepNetsSpec:
    """Return the search for step sizes: the rows of ``spec`` at every one of SEARCH_RATES, on a seed of its own.

    A run stops at the accuracy ``target`` or after ``max_steps``. :meth:`DeepNetsResult.best_rate` then chooses.

    >>> search(tiers["full"], 0.3, 150).seeds
    (100,)
    """
    rows = tuple((network, optimiser, SEARCH_RATES[optimiser]) for network, optimiser, _ in spec.plan)
    return replace(spec, plan=rows, seeds=(SEARCH_SEED,), max_steps=max_steps, stop_at=target)


_CIFAR = {"depths": (200,), "width": 400, "dataset": "cifar10", "n_test": 1000}
tiers = {
    # MNIST's embedded images; SGD; shows the order of the six networks.
    "quick": DeepNetsSpec(plan(tier="quick"), depths=(50,), n_test=500, max_steps=120, stop_at=0.8),
    # The paper's networks and data, for as many steps as the claim needs.
    "full": DeepNetsSpec(plan(), seeds=(0, 1), batch=128, max_steps=800, stop_at=0.35, spectra_per_decade=4, **_CIFAR),
    # As in the paper, from memory of it: mini-batches of 1,000, 10^5 steps, one step size an optimiser.
    "paper": DeepNetsSpec(
        tuple((n, o, (1e-3 if o in ("sgd", "momentum") else 1e-4,)) for o in OPTIMISERS for n in NETWORKS),
        seeds=(0, 1, 2),
        batch=1000,
        max_steps=100_000,
        segment=500,
        **(_CIFAR | {"n_test": 10_000}),
    ),
}

# The searches. The small one tries the whole grid; at full size each network is asked about three neighbours on it,
# where a pilot and the small search had its best (for Adam lower: the deeper and wider a network, the smaller its best
# step). ReLU with plain gradient descent is not searched at full size: a pilot found it at chance level after 150 steps
# at all of 10^-2.5 to 10^-4.5; in runs of 800 steps it did best at 10^-2.5, and worse at 10^-2 and 10^-4.
_BRACKETS = {
    "sgd": {"tanh1.05-orthogonal": (3, 4, 5), "tanh1.05-gaussian": (4, 5, 6),
            "tanh2-orthogonal": (4, 5, 6), "tanh2-gaussian": (4, 5, 6)},
    "adam": {"tanh1.05-orthogonal": (9, 10, 11), "tanh1.05-gaussian": (10, 11, 12),
             "tanh2-orthogonal": (11, 12, 13), "tanh2-gaussian": (11, 12, 13),
             "relu-orthogonal": (11, 12, 13), "relu-gaussian": (11, 12, 13)},
}  # fmt: skip


def _small_search(*optimisers: str) -> DeepNetsSpec:
    rows = tuple((network, optimiser, (1.0,)) for optimiser in optimisers for network in NETWORKS)
    return search(replace(tiers["quick"], plan=rows, depths=(64,), jacobian_images=0), 0.5, 150)


def _full_search(optimiser: str, **budget: int) -> DeepNetsSpec:
    rows = tuple(
        (network, optimiser, tuple(10 ** (-k / 2) for k in ks)) for network, ks in _BRACKETS[optimiser].items()
    )
    quiet = {"jacobian_images": 0, "spectra_per_decade": 0}
    return replace(tiers["full"], plan=rows, seeds=(SEARCH_SEED,), stop_at=0.3, **quiet, **budget)


search_tiers = {"quick": _small_search(*OPTIMISERS), "full": _full_search("sgd", max_steps=120)}
adam_search_tiers = {
    "quick": _small_search("adam"),
    "full": _full_search("adam", max_steps=80, per_decade=8, segment=100),
}

# The other optimisers: all of them in small, Adam at full size.
optimiser_tiers = {
    "quick": DeepNetsSpec(
        plan(OPTIMISERS[1:], "quick"), depths=(50,), n_test=500, seeds=(0, 1, 2), max_steps=120, stop_at=0.8
    ),
    "full": replace(
        tiers["full"],
        plan=plan(("adam",)),
        max_steps=120,
        per_decade=8,
        segment=60,
        jacobian_images=0,
        spectra_per_decade=0,
    ),
}

# The companion: steps to an accuracy against depth, isometric and Gaussian start, the best of a grid at each depth.
_PAIR = ("tanh1.05-orthogonal", "tanh1.05-gaussian")
depth_tiers = {
    "quick": DeepNetsSpec(
        tuple((network, "sgd", (10**-1.25, 10**-2.0)) for network in _PAIR),
        depths=(8, 32, 128),
        n_test=500,
        max_steps=100,
        stop_at=0.5,
        per_decade=40,
        jacobian_images=0,
    ),
    "full": DeepNetsSpec(
        tuple((network, "sgd", tuple(10 ** (-k / 4) for k in range(5, 11))) for network in _PAIR),
        depths=(8, 16, 32, 64, 128, 256),
        seeds=range(3),
        width=200,
        max_steps=250,
        stop_at=0.5,
        per_decade=40,
        jacobian_images=0,
    ),
}
