"""Bad input to nn, data and trainability: an error of ours that names the argument, raised by our code."""

import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

import ortholab
from ortholab import data, nn
from ortholab.errors import ArgumentError, OrtholabError
from ortholab.experiments import trainability
from ortholab.theory.activations import own_activation

HOME = Path(ortholab.__file__).parent


def mlp(**change):
    arguments = {"n_in": 4, "width": 5, "depth": 3, "sigma_w": 1.0, "generator": 0} | change
    return nn.MLP(**arguments)


def x(*shape, fill=1.0, dtype=torch.float32):
    return torch.full(shape, fill, dtype=dtype)


def images(value):
    out = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
    out[1] = value
    return out


def spec(**change):
    return trainability.TrainabilitySpec(**{"depths": (2,), "sigma_w": (1.0,), "steps": 2, "n_train": 40} | change)


NETWORK = {
    "sigma_w zero": (lambda: mlp(sigma_w=0), "sigma_w"),
    "sigma_w negative": (lambda: mlp(sigma_w=-1.0), "sigma_w"),
    "sigma_w nan": (lambda: mlp(sigma_w=float("nan")), "sigma_w"),
    "sigma_w a string": (lambda: mlp(sigma_w="1"), "sigma_w"),
    "sigma_b negative": (lambda: mlp(sigma_b=-0.1), "sigma_b"),
    "depth zero": (lambda: mlp(depth=0), "depth"),
    "depth missing": (lambda: mlp(depth=None), "depth"),
    "depth against width": (lambda: mlp(width=[4, 4], depth=3), "depth"),
    "width not an integer": (lambda: mlp(width=2.5), "width"),
    "width empty": (lambda: mlp(width=[], depth=None), "width"),
    "width zero in a list": (lambda: mlp(width=[4, 0, 4]), r"width\[1\]"),
    "n_in zero": (lambda: mlp(n_in=0), "n_in"),
    "n_out zero": (lambda: mlp(n_out=0), "n_out"),
    "weights unknown": (lambda: mlp(weights="uniform"), "weights.*orthogonal"),
    "weights a list": (lambda: mlp(weights=["gaussian"]), "weights"),
    "activation unknown": (lambda: mlp(activation="tanhh"), "activation.*tanh.*torch function"),
    "activation none": (lambda: mlp(activation=None), "activation"),
    "activation of numpy functions": (
        lambda: mlp(activation=own_activation("mine", np.sin, np.cos)),
        "activation.*numpy",
    ),
    "activation fails on tensors": (lambda: mlp(activation=lambda h: h.nothing()), "activation.*failed"),
    "activation changes the shape": (lambda: mlp(activation=lambda h: h.sum()), "activation.*shape"),
    "activation changes the dtype": (lambda: mlp(activation=lambda h: h.float()), "activation.*dtype"),
    "generator a string": (lambda: mlp(generator="0"), "generator"),
    "generator negative": (lambda: mlp(generator=-1), "generator"),
    "generator of numpy": (lambda: mlp(generator=np.random.default_rng(0)), "generator"),
    "dtype half": (lambda: mlp(dtype=torch.float16), "dtype"),
    "dtype of integers": (lambda: mlp(dtype=torch.int64), "dtype"),
    "device unknown": (lambda: mlp(device="abacus"), "device"),
    "tensor a list": (lambda: nn.orthogonal_([[1.0]], 1.0, 0), "tensor"),
    "tensor of one dimension": (lambda: nn.gaussian_(x(3), 1.0, 0), "tensor"),
    "tensor of integers": (lambda: nn.orthogonal_(torch.ones(3, 3, dtype=torch.int64), 1.0, 0), "tensor"),
    "tensor empty": (lambda: nn.orthogonal_(x(0, 3), 1.0, 0), "tensor"),
    "haar k above n": (lambda: nn.haar(3, 4, generator=0), "k must"),
    "haar batch negative": (lambda: nn.haar(3, generator=0, batch=(-1,)), r"batch\[0\]"),
    "haar batch a number": (lambda: nn.haar(3, generator=0, batch=2.5), "batch"),
}

INPUT = {
    "x nan": (lambda: mlp()(x(2, 4, fill=float("nan"))), "x must be finite; 8 of 8"),
    "x infinite": (lambda: mlp().preactivations(x(2, 4, fill=float("inf"))), "x must be finite"),
    "x too wide": (lambda: mlp()(x(2, 5)), r"x must have shape .*4.*got \(2, 5\)"),
    "x a number": (lambda: mlp()(x()), "x must have shape"),
    "x an array": (lambda: mlp()(np.ones((2, 4))), "x must be a torch tensor"),
    "x of integers": (lambda: mlp()(torch.ones(2, 4, dtype=torch.int64)), "x must have the network's dtype"),
    "x of another precision": (lambda: mlp()(x(2, 4, dtype=torch.float64)), "x must have the network's dtype"),
    "x overflows": (lambda: mlp(sigma_w=1e30, activation="linear", depth=9)(x(4)), "x .*overflow"),
    "x overflows in J": (lambda: nn.jacobian(mlp(sigma_w=1e30, activation="linear", depth=9), x(4)), "x .*overflow"),
    "J overflows": (
        lambda: nn.jacobian(mlp(sigma_w=1e30, activation="linear"), x(4, fill=0.0)),
        "x .*J that overflows",
    ),
    "model a layer": (lambda: nn.jacobian(torch.nn.Linear(4, 4), x(4)), "model"),
    "model none": (lambda: nn.singular_values(None, x(4)), "model"),
    "start after stop": (lambda: nn.jacobian(mlp(), x(4), 2, 2), "start"),
    "stop beyond depth": (lambda: nn.jacobian(mlp(), x(4), 0, 4), "stop"),
    "start negative": (lambda: nn.layer_factors(mlp(), x(4), -1), "start"),
    "x nan in J": (lambda: nn.log_singular_values(mlp(), x(4, fill=float("nan"))), "x must be finite"),
    "v too long": (lambda: nn.gradient_norms(mlp(), x(2, 4), x(4)), "v must have shape"),
    "v nan": (lambda: nn.gradient_norms(mlp(), x(2, 4), x(5, fill=float("nan"))), "v must be finite"),
    "v a list": (lambda: nn.gradient_norms(mlp(), x(2, 4), [1.0] * 5), "v must be a tensor"),
}

DATA = {
    "split unknown": (lambda: data.mnist("validation"), "split.*train.*test"),
    "source unknown": (lambda: data.mnist(source="web"), "source"),
    "n zero": (lambda: data.mnist(n=0), "n must"),
    "n not an integer": (lambda: data.mnist(n=10.5), "n must"),
    "n too large": (lambda: data.mnist(n=4001, source="embedded"), "n must.*4000"),
    "download of what is embedded": (lambda: data.mnist(source="embedded", download=True), "download"),
    "download a string": (lambda: data.mnist(download="yes"), "download"),
    "digits n negative": (lambda: data.digits(-1), "n must"),
    "digits n too large": (lambda: data.digits(1798), "n must.*1797"),
    "images nan": (lambda: data.standardise(images(np.nan)), "images must be finite; image 1"),
    "images infinite": (lambda: data.standardise(images(np.inf)), "images must be finite; image 1"),
    "images constant": (lambda: data.standardise(images(0.3)), "images must not be constant.*image 1"),
    "images a list": (lambda: data.standardise([[1.0, 2.0]]), "images must be an array"),
    "images of one dimension": (lambda: data.standardise(np.arange(4.0)), "images must be an array of shape"),
    "images empty": (lambda: data.standardise(np.ones((0, 3))), "images.*not empty"),
    "images complex": (lambda: data.standardise(np.ones((2, 3)) * 1j), "images must be an array of real"),
    "q negative": (lambda: data.standardise(images(0.3), q=-1), "q must"),
}

TRAINING = {
    "depths empty": (lambda: spec(depths=()), "depths"),
    "depths a number": (lambda: spec(depths=5), "depths"),
    "depths with a zero": (lambda: spec(depths=(3, 0)), r"depths\[1\]"),
    "depths twice": (lambda: spec(depths=(3, 3)), "depths must not hold"),
    "sigma_w zero in a grid": (lambda: spec(sigma_w=(1.0, 0.0)), r"sigma_w\[1\]"),
    "sigma_w nan in a grid": (lambda: spec(sigma_w=(np.nan,)), r"sigma_w\[0\]"),
    "learning_rate zero": (lambda: spec(learning_rate=0), "learning_rate"),
    "steps not an integer": (lambda: spec(steps=1e3), "steps"),
    "batch above n_train": (lambda: spec(batch=41), "batch"),
    "seeds negative": (lambda: spec(seeds=(-1,)), r"seeds\[0\]"),
    "activation of an experiment": (lambda: spec(activation="sigmoidal"), "activation"),
    "weights of an experiment": (lambda: spec(weights="identity"), "weights"),
    "spec a dictionary": (lambda: trainability.run({"depths": (2,)}), "spec"),
    "dataset an array": (lambda: trainability.run(spec(), np.ones((40, 784))), "dataset"),
    "dataset too small": (lambda: trainability.run(spec(), data.digits(39)), "n_train.*39"),
}

CASES = NETWORK | INPUT | DATA | TRAINING


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_bad_input(case):
    call, says = CASES[case]
    with pytest.raises(OrtholabError, match=says) as caught:
        call()
    assert isinstance(caught.value, ArgumentError)
    # The traceback ends in our code: nothing was raised in the depths of numpy or torch.
    raised_in = Path(traceback.extract_tb(caught.value.__traceback__)[-1].filename)
    assert HOME in raised_in.parents
