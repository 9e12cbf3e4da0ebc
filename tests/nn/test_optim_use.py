"""StiefelSGD and StiefelAdam in use: gradients kept as products, mixed lists, groups, schedulers, compile; mis-use."""

import gc

import pytest
import torch
from torch import nn

from ortholab.errors import ArgumentError
from ortholab.nn import haar
from ortholab.nn.optim import StiefelAdam, StiefelSGD

DOUBLE = torch.float64


def layer(n_in=24, n_out=24, bias=True, seed=0):
    made = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias, dtype=DOUBLE)
    Q = haar(max(n_in, n_out), min(n_in, n_out), generator=seed, dtype=DOUBLE)
    made.weight = nn.Parameter((Q if n_out >= n_in else Q.mT).contiguous())
    if bias:
        nn.init.constant_(made.bias, 0.1)
    return made


def twins(**options):
    """One layer with the low-rank path and one without, equal otherwise."""
    made = []
    for low_rank in (True, False):
        L = layer(**options)
        made.append((L, StiefelSGD(L, 0.002, constrained=[L], retraction="cayley", low_rank=low_rank)))
    return made


def images(rows, seed=1, n=24):
    return torch.randn(rows, n, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def start_of(L):
    return layer(L.in_features, L.out_features).weight.detach()


def accumulate(L, optimiser):
    for seed in (1, 2, 3):
        L(images(2, seed)).sin().sum().backward()
    optimiser.step()


def accumulate_uneven(L, optimiser):
    for seed, rows in ((1, 2), (2, 40), (3, 1)):
        L(images(rows, seed)).sin().sum().backward()
    optimiser.step()


def use_twice(L, optimiser):
    L(L(images(3)).tanh()).sin().sum().backward()
    optimiser.step()


def look_between(L, optimiser):
    y = L(images(3)).sin().sum()
    with torch.no_grad():
        L(images(5, 7))
    L(images(5, 8))  # a forward without a backward
    x = images(2, 9).requires_grad_()
    torch.autograd.grad(L(x).sum(), x)  # a Jacobian's row: no gradient of the weight
    y.backward()
    optimiser.step()


def zero_by_the_model(L, optimiser):
    L(images(3, 5)).sum().backward()
    L.zero_grad()
    L(images(3)).sin().sum().backward()
    optimiser.step()


def zero_to_zeros(L, optimiser):
    L(images(3, 5)).sum().backward()
    optimiser.zero_grad(set_to_none=False)
    L(images(3)).sin().sum().backward()
    optimiser.step()


def step_twice(L, optimiser):
    L(images(3)).sin().sum().backward()
    optimiser.step()
    optimiser.step()  # the same gradient again, as torch has it


def no_zero(L, optimiser):
    for seed in (1, 2):
        L(images(3, seed)).sin().sum().backward()
        optimiser.step()


def in_place_activation(L, optimiser):
    nn.functional.relu(L(images(3)), inplace=True).sin().sum().backward()
    optimiser.step()


def many_axes(L, optimiser):
    L(images(6).view(2, 3, 24)).sin().sum().backward()
    optimiser.step()


def input_gradient(L, optimiser):
    x = images(3).requires_grad_()
    L(x).sin().sum().backward()
    optimiser.step()
    L.seen = x.grad


def closure(L, optimiser):
    def loss():
        optimiser.zero_grad()
        value = L(images(3)).sin().sum()
        value.backward()
        return value

    assert isinstance(optimiser.step(loss), torch.Tensor)


def retained(L, optimiser):
    y = L(images(3)).sin().sum()
    y.backward(retain_graph=True)
    y.backward()
    optimiser.step()


USES = [
    accumulate, accumulate_uneven, use_twice, look_between, zero_by_the_model, zero_to_zeros, step_twice, no_zero,
    in_place_activation, many_axes, input_gradient, closure, retained,
]  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_out", [24, 40, 16])
@pytest.mark.parametrize("use", USES, ids=lambda f: f.__name__)
def test_a_gradient_kept_as_a_product_acts_as_torchs(use, n_out, bias):
    """Against the same use with low_rank=False, where the gradient is autograd's: 1e-12 in float64."""
    pair = twins(n_out=n_out if use is not use_twice else 24, bias=bias)
    for L, optimiser in pair:
        use(L, optimiser)
    (a, first), (b, _) = pair
    assert "low-rank" in first.describe() or n_out == 16
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-11)
    assert float((a.weight.detach() - start_of(a)).abs().max()) > 1e-5
    if use is input_gradient:
        torch.testing.assert_close(a.seen, b.seen, rtol=0, atol=1e-13)


def test_autograd_still_gives_the_weights_gradient():
    L = layer()
    optimiser = StiefelSGD(L, 0.1, constrained=[L])
    x = images(3)
    (G,) = torch.autograd.grad(L(x).sin().sum(), L.weight)
    torch.testing.assert_close(G, (L(x).cos().T @ x).detach(), rtol=0, atol=1e-13)
    assert L.weight.grad is None
    assert optimiser.describe()


def test_without_its_optimiser_a_layer_is_ordinary_again():
    L = layer()
    optimiser = StiefelSGD(L, 0.1, constrained=[L])
    del optimiser
    gc.collect()
    L(images(3)).sum().backward()
    assert torch.isfinite(L.weight.grad).all()


def test_a_saved_layer_loads(tmp_path):
    L = layer()
    optimiser = StiefelSGD(L, 0.1, constrained=[L])
    torch.save(L, tmp_path / "layer.pt")
    torch.save(L.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=False)
    torch.testing.assert_close(loaded(images(2)), L(images(2)), rtol=0, atol=0)
    loaded(images(2)).sum().backward()
    assert torch.isfinite(loaded.weight.grad).all()
    layer(seed=3).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert optimiser.describe()


def test_groups_schedulers_and_mixed_lists():
    """Two groups of constrained and free parameters with step sizes of their own, and a scheduler."""
    A, B = layer(seed=1), layer(seed=2)
    readout = nn.Linear(24, 3, dtype=DOUBLE)
    optimiser = StiefelSGD(
        [
            {"params": [A.weight], "stiefel": True, "lr": 0.1},
            {"params": [B.weight], "stiefel": True, "lr": 0.0},
            {"params": [A.bias, B.bias, *readout.parameters()], "stiefel": False},
        ],
        lr=0.05,
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 1, 0.5)
    assert [g["stiefel"] for g in optimiser.param_groups] == [True, True, False]
    before = B.weight.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        readout(B(A(images(5)).tanh()).tanh()).square().sum().backward()
        optimiser.step()
        scheduler.step()
    assert torch.equal(B.weight, before)
    torch.testing.assert_close(A.weight @ A.weight.T, torch.eye(24, dtype=DOUBLE), rtol=0, atol=1e-13)
    assert optimiser.param_groups[0]["lr"] == 0.1 / 8
    C = layer(seed=3)
    optimiser.add_param_group({"params": [C.weight]})
    assert optimiser.param_groups[-1]["stiefel"]
    start = C.weight.detach().clone()
    C(images(5)).square().sin().sum().backward()
    optimiser.step()
    assert not torch.equal(C.weight, start)


def test_a_step_size_set_after_loading_counts():
    pair = twins()
    for L, optimiser in pair:
        optimiser.load_state_dict(optimiser.state_dict())
        optimiser.param_groups[0]["lr"] = 0.0
        L(images(3)).sum().backward()
        optimiser.step()
        assert torch.equal(L.weight, start_of(L))


def test_modules_name_what_is_constrained():
    """A module stands for its weight, else for every nn.Linear in it; a free layer is not touched by the constraint."""
    model = nn.Sequential(nn.Sequential(layer(seed=1), nn.Tanh(), layer(seed=2)), nn.Linear(24, 3, dtype=DOUBLE))
    optimiser = StiefelSGD(model, 0.1, constrained=[model[0]])
    assert [line.split(" ")[0] for line in optimiser.describe().splitlines()] == ["0.0.weight", "0.2.weight"]
    conv = nn.Conv2d(3, 4, 3)
    conv.weight = nn.Parameter(torch.eye(4, 3).reshape(4, 3, 1, 1).expand(4, 3, 3, 3).contiguous())
    with pytest.raises(ArgumentError, match="orthonormal columns"):
        StiefelSGD(conv, 0.1, constrained=[conv])


@pytest.mark.parametrize("n_out", [24, 40, 16])
def test_project_moves_the_start_to_the_nearest_point(n_out):
    W = nn.Parameter(torch.randn(n_out, 24, generator=torch.Generator().manual_seed(0), dtype=DOUBLE))
    U, _, Vh = torch.linalg.svd(W.detach(), full_matrices=False)
    StiefelSGD([W], 0.1, gain=1.3, project=True)
    torch.testing.assert_close(W.detach(), 1.3 * U @ Vh, rtol=0, atol=1e-12)


def test_a_start_within_rounding_is_polished_and_a_good_one_left():
    W = nn.Parameter(torch.nn.init.orthogonal_(torch.empty(64, 64)))
    W.data += 1e-5 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    StiefelSGD([W], 0.1)
    error = torch.linalg.matrix_norm(W.detach().double() @ W.detach().double().T - torch.eye(64, dtype=DOUBLE))
    assert error <= 0.5e-6 * 8
    before = W.detach().clone()
    StiefelAdam([W], 0.1)
    assert torch.equal(W, before)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_trains_as_the_plain_one(backend):
    pair = twins()
    for k, (L, optimiser) in enumerate(pair):
        run = torch.compile(L, backend=backend) if k == 0 else L
        for seed in (1, 2):
            optimiser.zero_grad()
            run(images(3, seed)).sin().sum().backward()
            optimiser.step()
    torch.testing.assert_close(pair[0][0].weight, pair[1][0].weight, rtol=0, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("make", [StiefelSGD, StiefelAdam])
def test_on_cuda(make, rows):
    here, there = layer(), layer().to("cuda")
    for L in (here, there):
        optimiser = make(L, 0.05, constrained=[L])
        for seed in range(5):
            optimiser.zero_grad()
            L(images(rows, seed).to(L.weight.device)).sin().sum().backward()
            optimiser.step()
    torch.testing.assert_close(here.weight, there.weight.cpu(), rtol=0, atol=1e-9)


# -- mis-use -----------------------------------------------------------------------------------------------------------

EYE = torch.eye(4, dtype=DOUBLE)


def parameter(value=EYE, requires_grad=True):
    return nn.Parameter(value.clone(), requires_grad=requires_grad)


def linear(n=4):
    return layer(n, n)


MISUSE = {
    "no parameters": (lambda: StiefelSGD([]), "params must be at least one"),
    "a lone tensor": (lambda: StiefelSGD(parameter()), "params must be a module"),
    "a number among them": (lambda: StiefelSGD([parameter(), 3]), r"params\[1\] must be a torch tensor"),
    "a parameter twice": (lambda: StiefelSGD([W := parameter(), W]), "params must not hold a parameter twice"),
    "a bias": (lambda: StiefelSGD(linear()), "bias must have shape .* constrained"),
    "not orthogonal": (lambda: StiefelSGD([parameter(2 * EYE)]), "orthonormal columns .* project=True"),
    "wrong gain": (lambda: StiefelSGD([parameter()], gain=1.5), "gain = 1.5"),
    "wide, tall rows": (lambda: StiefelSGD([parameter(torch.ones(2, 4))]), "orthonormal rows"),
    "rank 0 to project": (lambda: StiefelSGD([parameter(0 * EYE)], project=True), "full rank"),
    "integers": (lambda: StiefelSGD([nn.Parameter(torch.eye(3, dtype=torch.int64), False)]), "float32 or float64"),
    "half precision": (lambda: StiefelSGD([parameter(EYE.half())]), "float32 or float64"),
    "frozen": (lambda: StiefelSGD([parameter(requires_grad=False)]), "require a gradient"),
    "not finite": (lambda: StiefelSGD([parameter(EYE * torch.inf)]), "finite"),
    "empty": (lambda: StiefelSGD([parameter(torch.zeros(0, 3))]), "none empty"),
    "lr < 0": (lambda: StiefelSGD([parameter()], -0.1), "lr must be"),
    "lr NaN": (lambda: StiefelAdam([parameter()], float("nan")), "lr must be"),
    "gain 0": (lambda: StiefelSGD([parameter()], gain=0), "gain must be"),
    "gain < 0": (lambda: StiefelSGD([parameter()], gain=-1), "gain must be"),
    "retraction": (lambda: StiefelSGD([parameter()], retraction="exp"), "retraction must be one of 'auto'"),
    "metric": (lambda: StiefelSGD([parameter()], metric="flat"), "metric must be"),
    "momentum": (lambda: StiefelSGD([parameter()], momentum=1.0), "momentum must be"),
    "nesterov": (lambda: StiefelSGD([parameter()], nesterov=True), "nesterov must"),
    "max_step": (lambda: StiefelSGD([parameter()], max_step=0), "max_step must be"),
    "weight_decay": (lambda: StiefelSGD([parameter()], weight_decay=-1), "weight_decay must be"),
    "betas": (lambda: StiefelAdam([parameter()], betas=(0.9, 1.0)), r"betas\[1\] must be"),
    "one beta": (lambda: StiefelAdam([parameter()], betas=0.9), "betas must be"),
    "eps": (lambda: StiefelAdam([parameter()], eps=0), "eps must be"),
    "constrained elsewhere": (lambda: StiefelSGD(linear(), constrained=[parameter()]), "constrained must be among"),
    "constrained twice": (lambda: StiefelSGD(L := linear(), constrained=[L, L.weight]), "must not be named twice"),
    "constrained text": (lambda: StiefelSGD(linear(), constrained="weight"), "constrained must be"),
    "constrained Tanh": (lambda: StiefelSGD(linear(), constrained=[nn.Tanh()]), r"constrained\[0\] must be"),
    "constrained bias": (lambda: StiefelSGD(L := linear(), constrained=[L.bias]), "bias must have shape"),
    "both ways": (
        lambda: StiefelSGD([{"params": [W := parameter()], "stiefel": True}], constrained=[W]),
        "constrained must be None",
    ),
}


@pytest.mark.parametrize(("call", "message"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("rows", [2, 30])
@pytest.mark.parametrize("make", [StiefelSGD, StiefelAdam])
def test_a_gradient_that_is_not_finite_changes_nothing(make, rows, bad):
    first, second = layer(seed=1), layer(seed=2)
    model = nn.Sequential(first, nn.Tanh(), second)
    optimiser = make(model, 0.1, constrained=[first, second])
    before = [p.detach().clone() for p in model.parameters()]
    x = images(rows)
    x[0, 0] = bad
    (first(images(rows)) + model(x)).sum().backward()
    with pytest.raises(ArgumentError, match=r"weight.*must be finite"):
        optimiser.step()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    optimiser.zero_grad()
    model(images(rows)).sum().backward()
    optimiser.step()
    assert not torch.equal(first.weight, before[0])


def test_clipping_a_gradient_that_is_a_product_is_refused():
    L = layer()
    optimiser = StiefelSGD(L, 0.1, constrained=[L])
    L(images(3)).sum().backward()
    nn.utils.clip_grad_norm_(L.parameters(), 1.0)
    with pytest.raises(ArgumentError, match=r"weight.grad is kept as a product .* low_rank=False"):
        optimiser.step()


def test_a_weight_changed_from_outside_is_noticed():
    L = layer()
    optimiser = StiefelSGD(L, 0.1, constrained=[L])
    L(images(3)).sum().backward()
    with torch.no_grad():
        L.weight.mul_(1.1)
    with pytest.raises(ArgumentError, match="weight must have orthonormal columns"):
        optimiser.step()


def test_sparse_gradients_and_bad_step_sizes_later_on_are_refused():
    W = parameter()
    optimiser = StiefelSGD([W], 0.1)
    W.grad = torch.eye(4, dtype=DOUBLE).to_sparse()
    with pytest.raises(ArgumentError, match="dense"):
        optimiser.step()
    W.grad = EYE.clone()
    optimiser.param_groups[0]["lr"] = -1.0
    with pytest.raises(ArgumentError, match="lr must be"):
        optimiser.step()
