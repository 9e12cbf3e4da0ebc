"""Figure 4: the specification, one run's records, determinism and resumption, and what the results say."""

import copy
import io
import math
import types
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch

from ortholab.errors import ArgumentError
from ortholab.experiments import deep_nets, deep_spectra, deep_tiers, deep_trial, encoding, engine, load
from ortholab.experiments.deep_nets import NETWORKS, DeepNetsSpec, Unit
from ortholab.experiments.deep_result import DeepNetsResult, run, similarity, summarise
from ortholab.experiments.deep_tiers import search, tiers
from ortholab.experiments.deep_trial import start
from ortholab.experiments.registry import Experiment
from ortholab.nn import MLP
from ortholab.theory import mean_field

ISO, GAUSS, RELU = "tanh1.05-orthogonal", "tanh1.05-gaussian", "relu-orthogonal"


def small(network=ISO, optimiser="sgd", rate=0.03, **changes):
    fields = {"depths": (12,), "width": 30, "n_train": 500, "n_test": 200, "max_steps": 30, "segment": 7}
    return DeepNetsSpec([(network, optimiser, [rate])], **(fields | changes))


def finish(trial):
    while not trial.advance():
        pass
    return trial.metrics()


def without_seconds(metrics):
    return {k: v for k, v in metrics.items() if not k.startswith("seconds")}


def same(a, b):
    """Equal bit for bit; NaN equals NaN."""
    return repr(without_seconds(a)) == repr(without_seconds(b))


def test_the_six_networks_are_critical():
    for name, network in NETWORKS.items():
        q = 1.0 if network.activation == "relu" else None
        assert mean_field.chi(network.activation, network.sigma_w, network.sigma_b, q) == pytest.approx(1, abs=2e-2), (
            name
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_put_the_first_layer_at_the_fixed_point(name):
    spec = small(name, width=300, n_test=50)
    trial = start(spec, spec.units[0])
    h = trial.model.preactivations(trial.x_test)
    network = NETWORKS[name]
    q = 1.0 if network.activation == "relu" else mean_field.q_star("tanh", network.sigma_w, network.sigma_b)
    assert h[0].square().mean().item() == pytest.approx(q, rel=0.1)
    assert trial.x_test.square().mean(1).numpy() == pytest.approx(trial.q0, rel=1e-4)
    assert trial.x_test.mean(1).abs().max() < 1e-6


@pytest.mark.parametrize("optimiser", deep_nets.OPTIMISERS)
def test_resumed_at_any_segment_it_is_the_uninterrupted_run(optimiser):
    spec = small(optimiser=optimiser, rate=0.003, max_steps=20, segment=6)
    expected = finish(start(spec, spec.units[0]))
    for cut in range(1, 4):
        trial = start(spec, spec.units[0])
        for _ in range(cut):
            trial.advance()
        state = copy.deepcopy(trial.state_dict())
        resumed = start(spec, spec.units[0])
        resumed.load_state_dict(state)
        assert same(finish(resumed), expected)
    assert same(finish(start(spec, spec.units[0])), expected)


def test_the_segment_changes_nothing():
    a, b = (finish(start(spec, spec.units[0])) for spec in (small(segment=1), small(segment=30)))
    assert same(a, b)


def test_the_state_survives_the_engines_encoding():
    spec = small(optimiser="adam", rate=0.001)
    trial, resumed = (start(spec, spec.units[0]) for _ in range(2))
    trial.advance()
    stream = io.BytesIO()
    encoding.dump(trial.state_dict(), stream)
    stream.seek(0)
    resumed.load_state_dict(encoding.undump(stream))
    assert same(finish(resumed), finish(trial))


def test_it_is_plain_sgd_on_the_stated_batches():
    """The whole run again by torch's autograd: same weights, same batches, accuracy and loss at each record."""
    spec = small(max_steps=8, batch=32)
    unit = spec.units[0]
    metrics = finish(start(spec, unit))
    trial = start(spec, unit)
    model = copy.deepcopy(trial.model)
    optimiser = torch.optim.SGD(model.parameters(), unit.rate)
    order = np.random.default_rng([0, 1]).permutation(500)
    for step in range(9):
        with torch.no_grad():
            logits = model(trial.x_test)
        k = metrics["steps"].index(step)
        assert metrics["accuracy"][k] == pytest.approx(
            (logits.argmax(1) == trial.y_test).double().mean().item(), abs=0.006
        )
        loss = torch.nn.functional.cross_entropy(logits, trial.y_test).item()
        assert metrics["test_loss"][k] == pytest.approx(loss, rel=1e-4)
        x, y = trial._inputs(trial.datasets[0], order[32 * step : 32 * step + 32])
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        norms = [layer.weight.grad.norm().item() for layer in [*model.layers, model.readout]]
        if step < 8:
            assert metrics["gradient_norm"][k] == pytest.approx(math.hypot(*norms), rel=1e-3)
            assert metrics["gradient_first"][k] == pytest.approx(norms[0], rel=1e-3)
        optimiser.step()


def test_networks_of_a_seed_see_the_same_batches_and_seeds_differ():
    spec = DeepNetsSpec([(ISO, "sgd", [0.01]), (RELU, "sgd", [0.01])], depths=[3], width=20, n_train=300, seeds=[0, 1])
    a, other_seed, b, _ = (start(spec, unit) for unit in spec.units)
    x, y = a._next_batch()
    assert torch.equal(y, b._next_batch()[1])
    assert not torch.equal(y, other_seed._next_batch()[1])
    assert not torch.equal(a.model.layers[0].weight, other_seed.model.layers[0].weight)
    assert len(torch.unique(x, dim=0)) == len(x)


def test_an_epoch_passes_over_the_images_without_repeats():
    spec = small(n_train=100, batch=30)
    trial = start(spec, spec.units[0])
    seen = [trial.order[trial.at - 30 : trial.at] for _ in range(3) if trial._next_batch()]
    assert len(set(np.concatenate(seen))) == 90
    trial._next_batch()  # ten images are left: a new epoch
    assert trial.at == 30


def test_divergence_is_recorded():
    spec = small("relu-gaussian", rate=1e6)
    metrics = finish(start(spec, spec.units[0]))
    assert 1 <= metrics["diverged"] <= 3
    assert metrics["steps_to_0.5"] == math.inf
    assert metrics["steps"][0] == 0
    assert np.isfinite(metrics["test_loss"]).all()


def test_it_stops_at_the_accuracy_asked_for():
    spec = small(max_steps=400, stop_at=0.4, width=60, n_train=None)
    trial = start(spec, spec.units[0])
    metrics = finish(trial)
    assert metrics["accuracy"][-1] >= 0.4 > max(metrics["accuracy"][:-1])
    assert metrics["last_step"] == metrics["steps"][-1] == metrics["steps_to_0.4"] < 400
    assert trial.progress() == (400, 400)
    assert trial.advance()  # finished: nothing more happens
    assert same(trial.metrics(), metrics)


def test_spectra_are_those_of_the_network_at_their_steps():
    """J of the square layers by autograd, the weights' distance to O(n) by the polar factor, before and after."""
    spec = small("tanh2-orthogonal", depths=(5,), jacobian_images=3, spectra_per_decade=2, rate=0.3)
    metrics, unit = finish(start(spec, spec.units[0])), spec.units[0]
    assert metrics["spectra_steps"] == [0, 1, 3, 10, 30]
    assert metrics["weight_layers"] == [2, 3, 5]
    for row, steps in ((0, 0), (-1, 30)):
        trial = start(spec, unit)
        for _ in range(steps):
            trial.trainer.step(*trial._next_batch())
        J = torch.func.vmap(torch.func.jacrev(lambda x, model=trial.model: _above_layer_one(model, x)))
        s = torch.linalg.svdvals(J(torch.tanh(trial.model.layers[0](trial.x_test[:3])))).detach()
        assert metrics["s_max"][row] == pytest.approx(s[:, 0].tolist(), rel=1e-4)
        assert metrics["s_mean_square"][row] == pytest.approx(s.square().mean(1).tolist(), rel=1e-4)
        at = deep_spectra.QUANTILES
        assert metrics["jacobian_quantiles"][row] == pytest.approx(np.quantile(s.numpy(), at), rel=1e-3, abs=1e-6)
        for k, layer in enumerate(metrics["weight_layers"]):
            W = trial.model.layers[layer - 1].weight.detach().double().numpy() / 2**0.5
            distance = np.linalg.norm(W - scipy.linalg.polar(W)[0])
            assert metrics["stiefel_distance"][row][k] == pytest.approx(distance, rel=1e-3, abs=1e-5)
            quantiles = np.quantile(np.linalg.svd(W, compute_uv=False), at)
            assert metrics["weight_quantiles"][row][k] == pytest.approx(quantiles, rel=1e-4)
    assert min(metrics["stiefel_distance"][-1]) > 100 * max(metrics["stiefel_distance"][0])


def test_spectra_cost_nothing_where_nobody_looks_and_survive_an_overflow():
    assert "s_max" not in finish(start(small(jacobian_images=0), small().units[0]))
    spec = small(depths=(1,))
    assert "s_max" not in finish(start(spec, spec.units[0]))
    trial = start(small("relu-gaussian"), small("relu-gaussian").units[0])
    for layer in trial.model.layers:
        layer.weight.data.mul_(1e5)
    found = deep_spectra.spectra(trial.model, trial.x_test[:2], 1.0)
    assert np.isnan(found["s_max"]).all()
    assert np.isfinite(found["stiefel_distance"]).all()


def _above_layer_one(model: MLP, x):
    for layer in model.layers[1:]:
        x = model.activation.phi(layer(x))
    return x


def test_record_steps():
    assert deep_trial.record_steps(1, 4) == [0, 1]
    steps = deep_trial.record_steps(700, 16)
    assert steps[0] == 0
    assert steps[-1] == 700
    assert all(b <= 1.25 * a for a, b in pairwise(steps[10:]))


def test_tiers():
    assert [len(tiers[name].units) for name in ("quick", "full", "paper")] == [6, 18, 72]
    assert tiers["full"].depths == (200,)
    assert tiers["full"].width == 400
    assert {unit.seed for unit in search(tiers["full"], 0.3, 150).units}.isdisjoint(tiers["full"].seeds)
    assert deep_tiers.depth_tiers["full"].depths[-1] > 100
    for name in ("quick", "full"):
        assert {row[0] for row in tiers[name].plan} == set(NETWORKS)


def test_the_isometric_network_learns_first_and_relu_not_at_all():
    """A third of the quick tier: the order that the figure shows."""
    rows = [row for row in tiers["quick"].plan if row[0] in (ISO, "tanh2-orthogonal", RELU)]
    spec = DeepNetsSpec(rows, depths=(50,), n_test=500, max_steps=60, stop_at=0.5)
    result = run(spec)
    iso, chaotic, relu = (result.steps_to(0.3, name)[0] for name in (ISO, "tanh2-orthogonal", RELU))
    assert iso < chaotic < 60
    assert relu == math.inf
    ratio = result.speedup(0.3, ISO, RELU)
    assert ratio.lower_bound
    assert ratio.value == pytest.approx(60 / iso)


def made(**steps_of_seed):
    """Results made by hand: (network, depth, rate) -> steps to .3 for seeds 0, 1, ...; budget 100."""
    units, metrics = [], []
    for key, values in steps_of_seed.items():
        network, depth, rate = key.split("__")
        for seed, steps in enumerate(values):
            units.append(
                Unit({"iso": ISO, "gauss": GAUSS}[network], "sgd", float(rate.replace("_", ".")), int(depth), seed)
            )
            end = min(steps, 100)
            metrics.append(
                {
                    "steps": [0, end],
                    "accuracy": [0.1, 0.3 if steps <= 100 else 0.2 - 0.1 * rate.count("9")],
                    "test_loss": [2.3, 2.0],
                    "loss": [2.3, 2.0],
                    "diverged": -1,
                    "s_max": [[2.0, 4.0], [9.0, 9.0]],
                    "spectra_steps": [0, end],
                }
            )
    return DeepNetsResult(tuple(units), tuple(metrics), 100)


def test_results_take_the_best_step_size():
    result = made(iso__8__0_1=[9, 16], iso__8__0_3=[4, 25], gauss__8__0_1=[math.inf, 80], gauss__8__0_9=[math.inf, 80])
    assert result.best_rate(0.3, ISO) == 0.3  # geometric means 12 and 10
    assert result.best_rate(0.3, GAUSS) == 0.1  # a tie: the higher accuracy
    assert result.steps_to(0.3, ISO).tolist() == [4, 25]
    ratio = result.speedup(0.3, ISO, GAUSS)
    assert ratio.lower_bound
    assert ratio.value == pytest.approx(math.sqrt(100 / 4 * 80 / 25))
    assert ratio.low < ratio.value < ratio.high
    assert result.s_max(ISO).tolist() == [3.0, 3.0]
    steps, values = result.curve(0.3, ISO)
    assert steps.tolist() == [0, 4, 25]
    assert np.isnan(values).tolist() == [[False, False, True], [False, True, False]]
    steps, values = result.curve(0.3, ISO, name="s_max")
    assert steps.tolist() == [0, 4, 25]
    assert values[0].tolist()[:2] == [3.0, 9.0]
    with pytest.raises(ArgumentError, match=r"^name must be one of accuracy"):
        result.curve(0.3, ISO, name="s_min")
    with pytest.raises(ArgumentError, match="was not recorded"):
        result.curve(0.3, ISO, name="stiefel_distance")
    with pytest.raises(ArgumentError, match="never reached"):
        result.speedup(0.3, GAUSS, ISO)
    assert made(iso__8__0_1=[0, 0], gauss__8__0_1=[8, 8]).speedup(0.3, ISO, GAUSS).value == pytest.approx(8)


def test_similarity_is_the_mean_correlation_of_pairs():
    spec = small(RELU, n_test=4)
    h = start(spec, spec.units[0]).model.preactivations(start(spec, spec.units[0]).x_test)[-1].detach().numpy()
    c = h @ h.T / np.outer(*[np.linalg.norm(h, axis=1)] * 2)
    pairs = [c[a, b] for a in range(4) for b in range(a)]
    assert similarity(spec, spec.units[0]) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_the_exponent_is_a_slope_over_paired_seeds():
    result = made(iso__4__0_1=[4, 2], iso__16__0_1=[8, 4], iso__64__0_1=[16, 8], gauss__4__0_1=[4], gauss__16__0_1=[16])
    half = result.exponent(0.3, ISO)
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))
    assert half.seeds == 2
    with pytest.raises(ArgumentError, match="depth must be one of"):
        result.steps_to(0.3, ISO)
    with pytest.raises(ArgumentError, match="no run of"):
        result.exponent(0.3, GAUSS)


def test_results_of_the_engine_are_taken_over():
    spec = small(max_steps=3)
    metrics = finish(start(spec, spec.units[0]))
    stored = types.SimpleNamespace(
        units=({"network": ISO, "optimiser": "sgd", "rate": 0.03, "depth": 12, "seed": 0},), metrics=(metrics,),
        manifest={"specification": {"max_steps": 3}}, provenance="from here",
    )  # fmt: skip
    result = DeepNetsResult.of(stored)
    assert result.units == spec.units
    assert result.provenance == "from here"
    table = summarise(stored)
    assert table.loc[0, "network"] == ISO
    assert table.loc[0, "steps to 0.5"] == (math.inf,)
    assert result.depths == (12,)


def test_the_engine_runs_and_stores_it(tmp_path):
    home = "ortholab.experiments."
    experiment = Experiment(
        "figure4", "Six deep networks", "deck, figure 4", home + "deep_tiers:tiers", home + "deep_trial:start",
        summarise=home + "deep_result:summarise",
    )  # fmt: skip
    settings = {"plan": ((ISO, "adam", (0.001,)), (RELU, "sgd", (0.01,))), "depths": (3,), "max_steps": 3, "segment": 2}
    engine.run(experiment, settings=settings, store=tmp_path)
    results = load(tmp_path, experiment, settings=settings)
    spec = DeepNetsSpec(**({"n_test": 500, "stop_at": 0.8} | settings))
    assert [same(m, finish(start(spec, unit))) for m, unit in zip(results.metrics, spec.units, strict=True)] == [
        True
    ] * 2
    assert DeepNetsResult.of(results).units == spec.units
    assert len(summarise(results)) == 2


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"plan": []}, "plan"),
        ({"plan": "sgd"}, "plan"),
        ({"plan": [("resnet", "sgd", [0.1])]}, r"plan\[0\]\[0\]"),
        ({"plan": [(ISO, "lion", [0.1])]}, r"plan\[0\]\[1\]"),
        ({"plan": [(ISO, "sgd", [0.0])]}, r"plan\[0\]\[2\]"),
        ({"plan": [(ISO, "sgd", [])]}, r"plan\[0\]\[2\]"),
        ({"plan": [(ISO, "sgd", [0.1])] * 2}, "plan must not hold a value twice"),
        ({"plan": [(ISO, "sgd")]}, r"plan\[0\]"),
        ({"depths": (0,)}, "depths"),
        ({"seeds": (-1,)}, "seeds"),
        ({"width": 0}, "width"),
        ({"max_steps": 0}, "max_steps"),
        ({"stop_at": 1.5}, "stop_at"),
        ({"thresholds": ()}, "thresholds"),
        ({"dataset": "imagenet"}, "dataset"),
        ({"n_train": 0}, "n_train"),
        ({"jacobian_images": -1}, "jacobian_images"),
        ({"spectra_per_decade": -1}, "spectra_per_decade"),
    ],
)
def test_bad_specifications_are_named(change, name):
    with pytest.raises(ArgumentError, match=f"^{name}"):
        DeepNetsSpec(**({"plan": [(ISO, "sgd", [0.1])]} | change))


def test_bad_units_and_batches_are_named():
    spec = small()
    with pytest.raises(ArgumentError, match=r"^spec must be"):
        start(None, spec.units[0])
    with pytest.raises(ArgumentError, match=r"^unit must be"):
        start(spec, ISO)
    with pytest.raises(ArgumentError, match=r"^batch must be at most 20"):
        start(small(n_train=20), spec.units[0])
