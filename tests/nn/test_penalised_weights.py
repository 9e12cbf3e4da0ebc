"""The recurrent update with a penalty, against torch's optimisers on the loss with the penalty written out."""

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn.penalised_weights import PENALTIES, PenalisedWeights

WRITTEN_OUT = {
    "sum": lambda W, g: ((W.T @ W / g**2 - torch.eye(len(W), dtype=W.dtype)) ** 2).sum(),
    "mean": lambda W, g: ((W.T @ W / g**2 - torch.eye(len(W), dtype=W.dtype)) ** 2).mean(),
    "published": lambda W, g: torch.mean(torch.square(W.T @ W / g**2 - 1)),  # the line of the published code
}
OPTIMISERS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop,
}  # fmt: skip


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_is_the_optimiser_on_loss_and_penalty(penalty, optimiser):
    generator = torch.Generator().manual_seed(0)
    W, A = (torch.randn(6, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    theirs = W.clone().requires_grad_()
    peer = OPTIMISERS[optimiser]([theirs], lr=0.01)
    update = PenalisedWeights(W, optimiser, rate=0.01, penalty=penalty, weight=0.3, gain=1.2)
    for _ in range(20):
        peer.zero_grad()
        ((theirs - A).square().sum() / 2 + 0.3 * WRITTEN_OUT[penalty](theirs, 1.2)).backward()
        peer.step()
        update.update(W, W - A)
    torch.testing.assert_close(W, theirs.detach(), rtol=1e-9, atol=1e-11)


def test_without_weight_it_is_the_loss_alone_and_a_saved_run_goes_on():
    W = torch.eye(3)
    free = PenalisedWeights(W, rate=0.1)
    free.update(W, torch.ones(3, 3))
    torch.testing.assert_close(W, torch.eye(3) - 0.1)
    V, again = W.clone(), PenalisedWeights(W, rate=0.1)
    again.load_state_dict(free.state_dict())
    for update, X in ((free, W), (again, V)):
        update.update(X, torch.arange(9.0).view(3, 3) - 4)
    assert torch.equal(V, W)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalty": "so"}, "penalty must be"), ({"weight": -1}, "weight must be"), ({"gain": 0}, "gain must be"),
        ({"rate": 0}, "rate must be"), ({"optimiser": "lion"}, "optimiser must be"), ({"nesterov": 1}, "nesterov"),
    ],
)  # fmt: skip
def test_misuse_is_named(changes, message):
    with pytest.raises(ArgumentError, match=message):
        PenalisedWeights(torch.eye(2), **({"rate": 0.1} | changes))
