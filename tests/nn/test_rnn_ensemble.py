"""An ensemble of recurrent networks against the same networks trained one at a time."""

import math

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import rnn_ensemble
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN
from ortholab.nn.rnn_ensemble import RNNEnsemble
from ortholab.nn.stiefel_weights import StiefelWeights

SEEDS, GAINS, STARTS, RATES = (0, 1, 2, 3), (1.0, 1.1, 0.9, 1.25), ("orthogonal", "glorot", "identity", "orthogonal"), (
    0.01, 0.003, 0.02, 0.005,
)  # fmt: skip


class Penalised:
    """Gradient descent on the loss plus strength |W^T W - gain^2 I|_F^2 / 4."""

    def __init__(self, strength, gain):
        self.strength, self.gain = strength, gain

    def update(self, W, G):
        W.sub_(G + self.strength * W @ (W.T @ W - self.gain**2 * torch.eye(len(W), dtype=W.dtype)), alpha=0.05)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


UPDATES = (
    None,
    lambda m: Penalised(0.1, 1.1),
    lambda m: Penalised(0.3, 1.0),
    lambda m: StiefelWeights(m.W.data, rate=0.01, gain=1.25),
)


def networks(activation="tanh", dtype=torch.float64):
    return [
        RNN(2, 6, 3, activation=activation, start=start, gain=gain, generator=seed, dtype=dtype)
        for seed, gain, start in zip(SEEDS, GAINS, STARTS, strict=True)
    ]


def data(loss="softmax", steps=1, models=None, dtype=torch.float64, length=9, rows=5):
    generator = torch.Generator().manual_seed(7)
    lead = () if models is None else (models,)
    x = torch.randn(*lead, length, rows, 2, generator=generator, dtype=torch.float64).to(dtype)
    if loss == "softmax":
        return x, torch.randint(3, (*lead, steps, rows), generator=generator)
    return x, torch.randn(*lead, steps, rows, 3, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("batched", [False, True, None])
@pytest.mark.parametrize(
    ("activation", "loss", "steps", "own_data"),
    [
        ("tanh", "softmax", 1, False),
        ("tanh", "squared", 9, True),
        ("relu", "softmax", 4, True),
        ("modrelu", "squared", 1, False),
    ],
)
def test_an_ensemble_is_its_networks_one_at_a_time(monkeypatch, batched, activation, loss, steps, own_data):
    monkeypatch.setattr(rnn_ensemble, "GROUP_BYTES", 3 * 8 * 6 * 8)  # None: three together, the fourth alone
    x, y = data(loss, steps, 4 if own_data else None)
    together = RNNEnsemble(
        networks(activation), 8, 12, "adam", rate=RATES, steps=steps, loss=loss, clip=[math.inf, 0.3, 1.0, 0.2],
        recurrent=UPDATES, batched=batched,
    )  # fmt: skip
    found = [together.step(x, y) for _ in range(12)]
    outputs = together.predict(x)
    for k, model in enumerate(networks(activation)):
        make = UPDATES[k]
        alone = RecurrentStep(
            model, 8, 12, "adam", rate=RATES[k], steps=steps, loss=loss, clip=[math.inf, 0.3, 1.0, 0.2][k],
            recurrent=None if make is None else make(model),
        )  # fmt: skip
        mine = (x[k], y[k]) if own_data else (x, y)
        expected = [alone.step(*mine) for _ in range(12)]
        assert [losses[k] for losses in found] == pytest.approx(expected, rel=1e-9)
        for name, p in model.named_parameters():
            assert torch.allclose(getattr(together.models[k], name), p, rtol=1e-8, atol=1e-9), (k, name)
        assert torch.allclose(outputs[k], alone.predict(mine[0]), rtol=1e-8, atol=1e-9)
        norms = (t.gradient_through_time([0, 4, 8]) for t in (together.trainers[k], alone))
        assert next(norms) == pytest.approx(next(norms), rel=1e-8)
        assert together.gradient_norms()[k] == pytest.approx(alone.gradient_norm, rel=1e-8)


def test_in_float32_too():
    x, y = data(dtype=torch.float32)
    runs = []
    for batched in (False, True):
        trainer = RNNEnsemble(networks(dtype=torch.float32), 5, 9, "adam", rate=0.01, batched=batched)
        runs.append([trainer.step(x, y) for _ in range(10)][-1])
    assert runs[0] == pytest.approx(runs[1], rel=1e-4)


def test_on_a_cpu_groups_fit_the_cache(monkeypatch):
    monkeypatch.setattr(rnn_ensemble, "GROUP_BYTES", 3 * 5 * 6 * 8)
    groups = {b: RNNEnsemble(networks(), 5, 9, rate=0.1, batched=b).groups for b in (None, True, False)}
    assert groups == {None: [(0, 3), (3, 4)], True: [(0, 4)], False: [(0, 1), (1, 2), (2, 3), (3, 4)]}


@pytest.mark.parametrize("batched", [False, True])
def test_one_network_that_overflows_does_not_stop_the_others(batched):
    models = networks("linear")
    with torch.no_grad():
        models[1].W.mul_(1e60)
    before = models[1].W.detach().clone()
    (x, y), trainer = data(), RNNEnsemble(models, 5, 9, "sgd", rate=0.1, batched=batched)
    first = trainer.step(x, y)
    assert [math.isinf(v) for v in first] == [False, True, False, False]
    assert torch.equal(models[1].W, before)
    second = trainer.step(x, y)
    assert all(second[k] < first[k] for k in (0, 2, 3))


@pytest.mark.parametrize("there", [False, True])
def test_a_saved_state_goes_on_bit_for_bit_and_in_the_other_mode_to_rounding(there):
    def fresh(batched):
        return RNNEnsemble(networks(), 5, 9, "adam", rate=RATES, recurrent=UPDATES, batched=batched)

    (x, y), whole, first = data(), fresh(False), fresh(False)
    for _ in range(6):
        whole.step(x, y)
    for _ in range(3):
        first.step(x, y)
    second = fresh(there)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.step(x, y)
    for mine, theirs in zip(second.models, whole.models, strict=True):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(p, q, rtol=1e-9, atol=1e-10) if there else torch.equal(p, q)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t, x, y, b: RNNEnsemble([], 5, 9, rate=0.1), "models must be a sequence"),
        (lambda t, x, y, b: RNNEnsemble([networks()[0]] * 2, 5, 9, rate=0.1), "models must be a sequence"),
        (lambda t, x, y, b: RNNEnsemble([*networks(), *networks("relu")], 5, 9, rate=0.1), "models.4. must be like"),
        (lambda t, x, y, b: RNNEnsemble(networks(), 5, 9, rate=[0.1], batched=b), "rate must be one value or 4"),
        (lambda t, x, y, b: RNNEnsemble(networks(), 5, 9, rate=0.1, batched="yes"), "batched must be"),
        (lambda t, x, y, b: t.step(x[..., :1], y), "x must be a tensor of shape"),
        (lambda t, x, y, b: t.step(x.expand(3, *x.shape), y), "x must be for 4 networks"),
        (lambda t, x, y, b: t.step(x * math.nan, y), "x must be finite"),
        (lambda t, x, y, b: t.step(x, y + 3), "y must be in 0 to 2"),
        (lambda t, x, y, b: t.step(x, y.tolist()), "y must be"),
        (lambda t, x, y, b: t.load_state_dict({"trainers": []}), "state must hold 4 networks"),
    ],
)
def test_bad_arguments_are_named(batched, call, words):
    x, y = data()
    with pytest.raises(ArgumentError, match=words):
        call(RNNEnsemble(networks(), 5, 9, rate=0.1, batched=batched), x, y, batched)
