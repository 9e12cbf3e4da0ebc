"""What can be run: a record for each experiment, which loads nothing heavy until it is run."""

from __future__ import annotations

from ortholab.errors import ArgumentError, bad
from ortholab.experiments.experiment import Cost, Experiment
from ortholab.experiments.worker import load_object

_MODULE = "ortholab.experiments."


def _deep(name: str, title: str, shows: str, tiers: str, data=("mnist", "cifar10"), **more) -> Experiment:
    """An experiment on deep networks: they share their trial and their table."""
    tiers, start, table = (_MODULE + at for at in (f"deep_tiers:{tiers}", "deep_trial:start", "deep_result:summarise"))
    return Experiment(name, title, shows, tiers=tiers, start=start, data=data, summarise=table, **more)


def _margin(name: str, title: str, shows: str, tiers: str, **more) -> Experiment:
    """An experiment on recurrent networks that read images by pixel."""
    tiers, start, table = (
        _MODULE + at for at in (f"spectral_margin:{tiers}", "sequence_trial:start", "margin_result:summarise")
    )
    draw = "ortholab.figures:spectral_margin"
    return Experiment(
        name, title, shows, tiers=tiers, start=start, data=("mnist",), summarise=table, figure=draw, **more
    )


def _gain(name: str, title: str, shows: str, tiers: str, data=("mnist",), **more) -> Experiment:
    """An experiment of the audit."""
    tiers, start, table = (_MODULE + at for at in (f"gain_plans:{tiers}", "gain_trial:start", "gain_result:summarise"))
    draw = "ortholab.figures:gain"
    return Experiment(name, title, shows, tiers=tiers, start=start, data=data, summarise=table, figure=draw, **more)


def _sequence(name: str, title: str, shows: str, tiers: str, **more) -> Experiment:
    """An experiment on sequence models."""
    at = _MODULE + "sequence_models"
    return Experiment(
        name, title, shows, tiers=f"{at}:{tiers}", start=f"{at}_trial:start", summarise=f"{at}_result:summarise",
        figure="ortholab.figures:sequence_models", **more,
    )  # fmt: skip


EXPERIMENTS = {
    e.name: e
    for e in (
        Experiment(
            "trainability",
            "Which depths train: accuracy over depth and sigma_w",
            "deck, section I (Schoenholz et al. 2017, figure 5)",
            tiers=_MODULE + "trainability:tiers",
            start=_MODULE + "trainability:start",
            data=("mnist",),
            figure="ortholab.figures:trainability",
            costs={"quick": Cost(7, 30), "full": Cost(35, 1600), "paper": Cost(18, 196_000)},
        ),
        Experiment(
            "linear_depth",
            "Learning time of deep linear networks against depth",
            "deck, figure 3 A (Saxe et al. 2014, figure 6)",
            tiers=_MODULE + "linear_depth:tiers",
            start=_MODULE + "linear_depth:start",
            data=("mnist",),
            figure="ortholab.figures:linear_depth",
            costs={"quick": Cost(90, 20), "full": Cost(420, 5400), "paper": Cost(420, 324_000)},
        ),
        _deep(
            "deep_nets",
            "Six networks of 200 layers: tanh and ReLU, orthogonal and Gaussian",
            "deck, figure 4 (Pennington et al. 2017, figure 2)",
            "tiers",
            figure="ortholab.figures:deep_nets",
            costs={"quick": Cost(6, 10), "full": Cost(18, 7200), "paper": Cost(72, 2.7e7)},
        ),
        _deep(
            "deep_nets_optimisers",
            "The six networks with momentum, Adam and RMSProp",
            "deck, figure 4, for the optimisers that it leaves out",
            "optimiser_tiers",
            figure="ortholab.figures:deep_nets",
            costs={"quick": Cost(54, 160), "full": Cost(20, 1500)},
        ),
        _deep(
            "deep_nets_search",
            "The search for the step sizes of the six networks of 200 layers",
            "deck, figure 4: what its full tier stands on",
            "search_tiers",
            costs={"quick": Cost(216, 540), "full": Cost(12, 900)},
        ),
        _deep(
            "deep_nets_search_adam",
            "The search for the step sizes of Adam",
            "deck, figure 4: what its rows with Adam stand on",
            "adam_search_tiers",
            costs={"quick": Cost(54, 140), "full": Cost(18, 900)},
        ),
        _deep(
            "deep_nets_depth",
            "Steps to an accuracy against depth: isometric and Gaussian start",
            "the companion of figure 4",
            "depth_tiers",
            data=("mnist",),
            figure="ortholab.figures:deep_nets_depth",
            costs={"quick": Cost(12, 60), "full": Cost(216, 1200)},
        ),
        Experiment(
            "atlas",
            "Every constraint and every penalty on one problem",
            "deck, section III as a whole",
            tiers=_MODULE + "atlas:tiers",
            start=_MODULE + "atlas:start",
            data=("mnist",),
            summarise=_MODULE + "atlas_result:summarise",
            figure="ortholab.figures:atlas",
            costs={"quick": Cost(14, 10), "full": Cost(70, 210)},
        ),
        Experiment(
            "atlas_search",
            "The search for the step sizes of the atlas",
            "what the atlas stands on",
            tiers=_MODULE + "atlas:search_tiers",
            start=_MODULE + "atlas:start",
            data=("mnist",),
            summarise=_MODULE + "atlas_result:summarise",
            costs={"quick": Cost(84, 60), "full": Cost(168, 420)},
        ),
        Experiment(
            "geometry",
            "Muon, manifold Muon, landing and one-step methods on the problem of the atlas",
            "since the deck: orthogonality as an optimiser's geometry",
            tiers=_MODULE + "geometry:tiers",
            start=_MODULE + "geometry:start",
            data=("mnist",),
            summarise=_MODULE + "geometry_result:summarise",
            figure="ortholab.figures:geometry",
            costs={"quick": Cost(14, 12), "full": Cost(70, 260)},
        ),
        Experiment(
            "geometry_search",
            "The search for the step sizes of the experiment on geometry",
            "what the experiment on geometry stands on",
            tiers=_MODULE + "geometry:search_tiers",
            start=_MODULE + "geometry:start",
            data=("mnist",),
            summarise=_MODULE + "geometry_result:summarise",
            costs={"quick": Cost(84, 75), "full": Cost(168, 450)},
        ),
        Experiment(
            "critical_start",
            "A stuck network of 200 layers, and the start that its diagnosis suggests",
            "nothing of the deck: what its section I is good for",
            tiers=_MODULE + "critical_start:tiers",
            start=_MODULE + "critical_start:start",
            data=("mnist",),
            summarise=_MODULE + "critical_start:summarise",
            figure="ortholab.figures:critical_start",
            costs={"quick": Cost(2, 4), "full": Cost(81, 480)},
        ),
        Experiment(
            "geometry_control",
            "Muon and Muon with the exact polar factor, each at both of their step sizes",
            "a control for the experiment on geometry",
            tiers=_MODULE + "geometry:control_tiers",
            start=_MODULE + "geometry:start",
            data=("mnist",),
            summarise=_MODULE + "geometry_result:summarise",
            costs={"quick": Cost(4, 5), "full": Cost(20, 80)},
        ),
        Experiment(
            "soft_constraints",
            "Residual networks with each soft orthogonality penalty and with none",
            "deck, figure 6 (Bansal et al. 2018)",
            tiers=_MODULE + "soft_constraints:tiers",
            start=_MODULE + "soft_trial:start",
            data=("mnist", "cifar10", "cifar100"),
            summarise=_MODULE + "soft_result:summarise",
            figure="ortholab.figures:soft_constraints",
            costs={"quick": Cost(12, 20), "full": Cost(12, 1400), "paper": Cost(30, 1.07e7)},
        ),
        Experiment(
            "soft_constraints_step",
            "The residual network without a penalty, at the step size that a penalty amounts to",
            "a control for the deck's figure 6",
            tiers=_MODULE + "soft_constraints:step_tiers",
            start=_MODULE + "soft_trial:start",
            data=("mnist", "cifar10"),
            summarise=_MODULE + "soft_result:summarise",
            figure="ortholab.figures:soft_constraints",
            costs={"quick": Cost(2, 4), "full": Cost(2, 240)},
        ),
        _margin(
            "spectral_margin",
            "A recurrent network that reads images by pixel, its singular values within a margin of 1",
            "deck, figure 5 (Vorontsov et al. 2017)",
            "tiers",
            costs={"quick": Cost(5, 10), "full": Cost(40, 1700), "paper": Cost(60, 720_000)},
        ),
        _margin(
            "spectral_margin_rivals",
            "What else does what a margin does: the optimiser, the gain, the activation",
            "deck, figure 5: what its comparison leaves open",
            "rival_tiers",
            costs={"quick": Cost(76, 260), "full": Cost(12, 500)},
        ),
        _gain(
            "gain_audit",
            "Penalties, gains and a hard constraint on MNIST by rows, at the report's sizes",
            "deck, figures 7 and 8",
            "tiers",
            costs={"quick": Cost(18, 20), "full": Cost(120, 4700)},
        ),
        _gain(
            "gain_audit_code",
            "The penalties of the published code at its own sizes, and the control that it lacks",
            "deck, figures 7 and 8",
            "code_tiers",
            costs={"quick": Cost(3, 4), "full": Cost(30, 3000)},
        ),
        _gain(
            "gain_figures",
            "Figures 7 and 8 as they were made: one run of each configuration of the deck",
            "deck, figures 7 and 8",
            "figure_tiers",
            costs={"quick": Cost(6, 8), "full": Cost(6, 540)},
        ),
        _gain(
            "gain_map",
            "Every penalty, coefficient and gain",
            "deck, figures 7 and 8: what lies around them",
            "map_tiers",
            costs={"quick": Cost(11, 6), "full": Cost(119, 480)},
        ),
        _gain(
            "gain_copying",
            "Penalties, gains and a hard constraint on the copying task",
            "deck, section IV: where gradients travel far",
            "copying_tiers",
            data=(),
            costs={"quick": Cost(12, 35), "full": Cost(80, 1000)},
        ),
        _gain(
            "gain_pixels",
            "Penalties, gains and a hard constraint on MNIST by pixels",
            "deck, section IV: where gradients travel far",
            "pixel_tiers",
            costs={"quick": Cost(4, 12), "full": Cost(50, 700), "paper": Cost(50, 1_200_000)},
        ),
        _gain(
            "gain_adding",
            "Penalties, gains and a hard constraint on the adding task",
            "deck, section IV: where gradients travel far",
            "adding_tiers",
            data=(),
            costs={"quick": Cost(4, 8), "full": Cost(50, 900)},
        ),
        Experiment(
            "convolutions",
            "Plain convolutional networks of up to 256 layers: three laws of the kernels",
            "after the deck (Xiao et al. 2018)",
            tiers=_MODULE + "convolutions:tiers",
            start=_MODULE + "convolutions:start",
            data=("mnist",),
            figure="ortholab.figures:convolutions",
            costs={"quick": Cost(3, 12), "full": Cost(27, 300)},
        ),
        Experiment(
            "convolutions_search",
            "The search for the step sizes of the plain convolutional networks",
            "what they stand on",
            tiers=_MODULE + "convolutions:search_tiers",
            start=_MODULE + "convolutions:start",
            data=("mnist",),
            costs={"quick": Cost(9, 50)},
        ),
        _sequence(
            "sequence_models",
            "Linear recurrences on rings, products of reflections, orthogonal networks and an LSTM on the copying task",
            "since the deck (Orvieto et al. 2023, Mhammedi et al. 2017)",
            "tiers",
            costs={"quick": Cost(8, 8), "full": Cost(75, 600), "paper": Cost(75, 600_000)},
        ),
        _sequence(
            "sequence_models_search",
            "The search for the step size of the sequence models",
            "what the sequence models stand on",
            "search_tiers",
            costs={"quick": Cost(21, 105)},
        ),
        _sequence(
            "sequence_models_faster",
            "Four of the sequence models at a larger step size",
            "what the sequence models leave open",
            "faster_tiers",
            costs={"quick": Cost(2, 2), "full": Cost(20, 140)},
        ),
        _sequence(
            "sequence_models_long",
            "Sequence models on the copying task after 100 steps",
            "since the deck: a longer wait",
            "long_tiers",
            costs={"quick": Cost(2, 3), "full": Cost(30, 420)},
        ),
    )
}


def find(name: str | Experiment) -> Experiment:
    """Return the experiment of that name; ``module:ATTRIBUTE`` names one from elsewhere. Raises ArgumentError.

    >>> find("trainability").name
    'trainability'
    """
    if isinstance(name, Experiment):
        return name
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    if ":" in str(name):
        found = load_object(name)
        if isinstance(found, Experiment):
            return found
        raise bad("experiment", name, "the name of an Experiment")
    raise ArgumentError(f"experiment must be one of {', '.join(EXPERIMENTS)}, or module:ATTRIBUTE; got {name!r}")
