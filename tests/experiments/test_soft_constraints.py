"""Figure 6: the specification, pairing, resumption, what is recorded, and what the results say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ortholab.errors import ArgumentError
from ortholab.experiments import engine, load
from ortholab.experiments.encoding import to_text
from ortholab.experiments.soft_constraints import COEFFICIENTS, SoftSpec, Unit, tiers
from ortholab.experiments.soft_result import MEASURES, SoftResult, early, final, run, setbacks, summarise
from ortholab.experiments.soft_trial import coefficient, kernel_errors, start
from ortholab.nn.resnet import ResNet
from ortholab.theory import penalties

ALL = tuple((penalty, 0.01 * (penalty != "none"), "constant") for penalty in ("none", "so", "dso", "mc", "srip"))


def small(*plan, **changes):
    fields = {"width": 4, "n_train": 120, "n_test": 60, "pool": 2, "pad": 1, "flip": True, "batch": 20, "epochs": 2}
    return SoftSpec(plan or ALL, **(fields | changes))


def finish(trial):
    while not trial.advance():
        pass
    return trial.metrics()


def bits(metrics):
    return to_text({k: v for k, v in metrics.items() if not k.startswith("seconds")})


def test_seed_zero_of_every_configuration_comes_first():
    for spec in tiers.values():
        seeds = [unit.seed for unit in spec.units]
        assert seeds == sorted(seeds)
        assert {unit.penalty for unit in spec.units if unit.seed == 0} == set(COEFFICIENTS)


def test_all_penalties_of_a_seed_begin_at_one_network_and_see_the_same_pixels():
    trials = [start(small(), unit) for unit in small().units]
    first = trials[0]
    rows = np.arange(20)
    for trial in trials[1:]:
        for p, q in zip(trial.model.parameters(), first.model.parameters(), strict=True):
            assert torch.equal(p, q)
        trial.rng.bit_generator.state = first.rng.bit_generator.state
        state = first.rng.bit_generator.state
        assert np.array_equal(trial._augmented(rows), first._augmented(rows))
        first.rng.bit_generator.state = state
    other = start(small(seeds=(1,)), small(seeds=(1,)).units[0])
    assert not torch.equal(other.model.first.weight, first.model.first.weight)


def test_without_a_penalty_it_is_torchs_sgd_on_torchs_network():
    spec = small(("none", 0, "constant"), pad=0, flip=False, epochs=1)
    trial = start(spec, spec.units[0])
    model = ResNet(8, 10, width=4, channels=1, generator=0)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    order = np.random.default_rng([0, 1]).permutation(120)
    x = trial._inputs(trial.images)
    y = torch.from_numpy(trial.datasets[0].labels)
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std().item() == pytest.approx(1, abs=1e-3)
    losses = []
    for step, at in enumerate(range(0, 120, 20)):
        for group in optimiser.param_groups:
            group["lr"] = (0.1, 0.1, 0.1, 0.01, 0.01, 0.001)[step]  # drops at half and three quarters of six steps
        rows = np.sort(order[at : at + 20])
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    metrics = finish(trial)
    assert metrics["loss"][1] == pytest.approx(np.mean(losses), rel=1e-5)
    model.eval()
    with torch.no_grad():
        right = (model(trial.x_test).argmax(1) == trial.y_test).double().mean().item()
    assert metrics["accuracy"][1] == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("row", [("srip", 0.1, "constant"), ("so", 0.1, "bansal")])
def test_cut_after_every_epoch_it_gives_the_bits_of_one_run(tmp_path, monkeypatch, row):
    monkeypatch.setattr("ortholab.experiments.worker.PROGRESS_EVERY", 0.0)
    settings = {
        "plan": (row,),
        "n_train": 80,
        "n_test": 40,
        "pool": 2,
        "pad": 1,
        "flip": True,
        "batch": 20,
        "epochs": 5,
    }

    class Stop(engine.Listener):
        def __init__(self):
            self.calls = 0

        def progress(self, done):
            self.calls += 1
            if self.calls > 1:
                raise KeyboardInterrupt

    cuts = 0
    while True:
        try:
            cut = engine.run("soft_constraints", store=tmp_path / "cut", settings=settings, listener=Stop())
            break
        except KeyboardInterrupt:
            cuts += 1
    assert cuts >= 3
    whole = engine.run("soft_constraints", store=tmp_path / "whole", settings=settings)
    a, b = load(cut.folder), load(whole.folder)
    assert bits(a.metrics[0]) == bits(b.metrics[0])
    assert a.manifest["data"][0]["name"] == "MNIST"
    assert list(summarise(a)["penalty"]) == ["so bansal" if row[0] == "so" else "srip"]


def test_what_is_recorded_of_the_kernels_is_what_the_theory_says():
    model = ResNet(8, width=4, generator=0)
    found = kernel_errors(model, ["first.weight"])
    matrices = [penalties.kernel_matrix(k.detach().double().numpy()) for k in model.kernels().values()]
    assert found["so"] == pytest.approx(np.mean([np.sqrt(penalties.so(W)) for W in matrices]), rel=1e-10)
    assert found["mc"] == pytest.approx(np.mean([penalties.mc(W) for W in matrices]), rel=1e-10)
    assert found["srip"] == pytest.approx(np.mean([penalties.srip(W) for W in matrices]), rel=1e-10)
    s = np.linalg.svd(matrices[0], compute_uv=False)
    assert found["singular_values"] == [pytest.approx([s.min(), *np.quantile(s, [0.25, 0.5, 0.75]), s.max()])]


def test_penalties_pull_the_kernels_to_orthonormal_rows():
    plan = [("none", 0, "constant"), ("so", 0.1, "constant"), ("mc", 0.1, "constant"), ("srip", 0.1, "constant")]
    result = run(small(*plan, epochs=4))
    end = {label: result.curve(label, "so")[1][0, -1] for label in result.labels}
    assert all(end[label] < 0.75 * end["none"] for label in ("so", "mc", "srip"))


def test_dso_is_so_at_twice_the_coefficient_to_the_bit():
    dso, so = (
        finish(start(small(row, epochs=5), small(row).units[0]))
        for row in (("dso", 0.02, "bansal"), ("so", 0.04, "bansal"))
    )
    same = {k: v for k, v in dso.items() if k != "coefficient"}
    assert bits(same) == bits({k: v for k, v in so.items() if k != "coefficient"})


def test_a_run_that_diverges_says_when():
    spec = small(("so", 1e6, "constant"))
    metrics = finish(start(spec, spec.units[0]))
    assert metrics["diverged"] >= 1
    assert metrics["epochs"] == [0]
    result = SoftResult(spec.units, (metrics,))
    assert result.curve("so")[1].shape == (1, 1)


def test_the_schedules_are_stretched_to_the_run():
    assert coefficient("constant", 0.5, 100) == 0.5
    assert coefficient("cosine", 0.5, 100)(50) == pytest.approx(0.25)
    assert coefficient("bansal", 1e-2, 800)(80) == pytest.approx(1e-3)
    spec = small(("so", 0.01, "linear"), epochs=4)
    assert finish(start(spec, spec.units[0]))["coefficient"] == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0])


def made(accuracies):
    units, metrics = [], []
    for penalty, rows in accuracies.items():
        for seed, row in enumerate(rows):
            units.append(Unit(penalty, 0.0, "constant", seed))
            metrics.append({"accuracy": row, "epochs": list(range(len(row))), "so": row, "diverged": -1})
    return SoftResult(tuple(units), tuple(metrics))


def test_differences_are_paired_and_have_the_t_interval():
    result = made({"none": [[0, 0.2, 0.5], [0, 0.4, 0.6], [0, 0.3, 0.4]], "so": [[0, 0.3, 0.5], [0, 0.6, 0.7]]})
    found = result.difference("final", "so")
    assert found.seeds == 2
    assert (found.value, found.high) == pytest.approx((0.05, 0.05 + 12.706204736 * 0.05), rel=1e-6)
    assert result.difference("early", "so").value == pytest.approx(0.15)
    assert math.isinf(made({"none": [[0, 1]], "so": [[0, 0.5]]}).difference("final", "so").high)
    assert [name for name in MEASURES] == ["early", "final", "setbacks"]
    run_of = {"accuracy": [0.1, 0.5, 0.4, 0.6, 0.55]}
    assert (early(run_of), final(run_of), setbacks(run_of)) == pytest.approx((0.45, 0.55, 0.15))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(("none", 0.1, "constant")), r"plan\[0\]\[1\] must be 0 for no penalty"),
        (lambda: small(("ridge", 0.1, "constant")), r"plan\[0\]\[0\] must be one of 'none'"),
        (lambda: small(("so", 0.1, "step")), r"plan\[0\]\[2\] must be one of 'constant'"),
        (lambda: small(("so", -1, "constant")), r"plan\[0\]\[1\] must be a finite number >= 0"),
        (lambda: small(flip=1), "flip must be True or False"),
        (lambda: small(drops=(1.5,)), r"drops\[0\] must be a number in \[0, 1\]"),
        (lambda: small(dataset="svhn"), "dataset must be one of"),
        (lambda: start(small(pool=3), small().units[0]), "pool must be a divisor of 28"),
        (lambda: start(small(batch=200), small().units[0]), "batch must be at most 120"),
        (lambda: start("full", small().units[0]), "spec must be a SoftSpec"),
        (lambda: start(small(), 3), "unit must be a Unit"),
        (lambda: made({"so": [[0, 1]]}).difference("final", "so"), "label must be one of 'so'"),
        (lambda: made({"so": [[0, 1]]}).curve("so", "name"), "name must be a metric"),
        (lambda: run(3), "spec must be a SoftSpec"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_the_paper_tier_is_resnet_110_on_cifar_100():
    paper = tiers["paper"]
    assert (paper.depth, paper.dataset, paper.epochs, paper.n_train) == (110, "cifar100", 200, None)
    assert replace(paper, seeds=(0,)).units[0] == Unit("none", 0.0, "constant", 0)
