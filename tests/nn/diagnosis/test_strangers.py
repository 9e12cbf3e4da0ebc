"""Networks that the instrument was not made with: it reads them, finds the right words, and leaves no trace."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from ortholab.errors import ArgumentError
from ortholab.nn import critical_
from ortholab.nn.diagnosis import diagnose
from ortholab.nn.diagnosis.patients import images, vectors


class Block(nn.Module):
    """A residual block in the way of torchvision's: a sum in place, then a ReLU in place."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x
        return self.relu(out)


class Encoder(nn.Module):
    """Tokens and a padding mask in, a dict out."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.readout = nn.Linear(8, 3)

    def forward(self, tokens, src_key_padding_mask=None):
        hidden = self.blocks(self.embed(tokens), src_key_padding_mask=src_key_padding_mask)
        return {"hidden": None, "logits": self.readout(hidden)}


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.readout = nn.GRU(5, 6, 2, batch_first=True, bidirectional=True), nn.Linear(12, 3)

    def forward(self, x):
        y, state = self.gru(x)
        return self.readout(y[:, -1]), state


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.readout = nn.Embedding(20, 5), nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 20)

    def forward(self, tokens, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        return self.readout(nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0])


class Shared(nn.Module):
    """One layer, called thirty times."""

    def __init__(self):
        super().__init__()
        self.layer, self.readout = nn.Linear(10, 10), nn.Linear(10, 4)

    def forward(self, x):
        for _ in range(30):
            x = torch.tanh(self.layer(x))
        return self.readout(x)


TOKENS = torch.randint(1, 20, (4, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(7).expand(4, 7) >= 5


def stack(*middle, width=6):
    return nn.Sequential(nn.Linear(6, width), *middle, nn.Linear(6, 3))


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        return nn.Sequential(weight_norm(nn.Linear(6, 6)), nn.Tanh(), nn.Linear(6, 3))


# A network, its batch, the family, the number of layers called, and a word of the suggestion.
STRANGERS = {
    "residual block": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Block(), nn.Flatten()),
                       lambda: images(4, 6), "residual", 3, "1 sums seen"),
    "mask by name": (Encoder, lambda: {"tokens": TOKENS, "src_key_padding_mask": MASK}, "attention", 7, "4 branches"),
    "mask by place": (Encoder, lambda: (TOKENS, MASK), "attention", 7, "4 branches"),
    "evaluation": (lambda: Encoder().eval(), lambda: (TOKENS, MASK), "attention", 7, "4 branches"),
    "attention alone": (lambda: nn.MultiheadAttention(8, 2), lambda: (vectors(5, 8),) * 3, "attention", 1, "without"),
    "GRU": (Gru, lambda: vectors(60, 5).reshape(3, 20, 5), "recurrent", 2, "orthogonal recurrent"),
    "packed": (Packed, lambda: (TOKENS, torch.tensor([7, 5, 3, 6])), "recurrent", 2, "forget-gate"),
    "dropout": (lambda: stack(nn.ReLU(), nn.Dropout(0.5)), lambda: vectors(16, 6), "plain", 2, "relu"),
    "shared": (Shared, lambda: vectors(4, 10), "plain", 31, "tanh, 30 layers"),
    "float64": (lambda: stack(nn.Tanh()).double(), lambda: vectors(4, 6).double(), "plain", 2, "tanh"),
    "weight_norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 6)), nn.Tanh(), nn.Linear(6, 3)),
                    lambda: vectors(4, 6), "plain", 2, "tanh"),
    "weight_norm by hook": (old_weight_norm, lambda: vectors(4, 6), "plain", 2, "tanh"),
    "tied tokens": (lambda: nn.Sequential(nn.Embedding(20, 6), stack(nn.Tanh())), lambda: TOKENS, "plain", 2, "tanh"),
    "PReLU": (lambda: stack(nn.PReLU()), lambda: vectors(4, 6), "plain", 2, "leaky_relu(0.25)"),
    "PReLU a channel": (lambda: stack(nn.PReLU(6)), lambda: vectors(4, 6), "plain", 2, "not recognised"),
    "GLU": (lambda: stack(nn.GLU(), width=12), lambda: vectors(4, 6), "plain", 2, "not recognised"),
    "arctan": (lambda: nn.Sequential(nn.Linear(6, 6), Arctan(), nn.Linear(6, 3)), lambda: vectors(4, 6), "plain", 2,
               "arctan"),
    "sigmoid": (lambda: stack(nn.Sigmoid()), lambda: vectors(4, 6), "plain", 2, "begins there, at q* = 45.6"),
    "no layer": (nn.ReLU, lambda: vectors(4, 6), "plain", 0, "no layer with weights"),
    "compiled": (lambda: Compiled(stack(nn.Tanh())), lambda: vectors(4, 6), "plain", 2, "tanh"),
    "data parallel": (lambda: nn.DataParallel(stack(nn.Tanh())), lambda: vectors(4, 6), "plain", 2, "tanh"),
}  # fmt: skip


class Compiled(nn.Module):
    """What torch.compile returns holds its module under this name; importing the compiler takes half a minute."""

    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


class Arctan(nn.Module):
    def forward(self, x):
        return torch.atan(x)


def state(model):
    modules = [(m.training, sorted(m.__dict__), len(m._forward_hooks), len(m._forward_pre_hooks))
               for m in model.modules()]  # fmt: skip
    tensors = [(t.detach().clone(), t.requires_grad, t.grad) for t in (*model.parameters(), *model.buffers())]
    return modules, tensors, torch.get_rng_state()


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_read_and_left_as_it_was(name):
    make, batch, family, depth, words = STRANGERS[name]
    torch.manual_seed(0)
    model = make()
    before = state(model)
    found = diagnose(model, batch(), samples=1, probes=2)
    assert (found.family, found.depth) == (family, depth)
    assert words in found.suggestion.words
    assert found.verdict == ("vanish" if name == "shared" else "sound")
    after = state(model)
    assert before[0] == after[0]
    assert all(torch.equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(before[1], after[1], strict=True))
    assert torch.equal(before[2], after[2])


def test_a_shared_layer_is_one_row_of_a_start_and_thirty_layers():
    found = critical_(Shared(), vectors(4, 10), generator=0)
    assert [row.name for row in found.rows] == ["layer", "readout"]
    assert found.depth == 30


class NoGradient(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    @torch.no_grad()
    def forward(self, x):
        return self.layer(x)


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        return torch.jit.trace(nn.Sequential(nn.Linear(6, 6), nn.Tanh()), vectors(2, 6))


@pytest.mark.parametrize(
    ("make", "batch", "words"),
    [
        (traced, vectors(2, 6), "ScriptModule"),
        (NoGradient, vectors(2, 6), "no_grad"),
        (lambda: nn.Linear(6, 3).double(), vectors(2, 6), r"must run on batch.*dtype"),
        (lambda: stack(nn.BatchNorm1d(6)), vectors(1, 6), "more than 1 value"),
        (lambda: nn.Linear(6, 3), vectors(2, 6).numpy(), "a tensor, a tuple"),
    ],
    ids=["ScriptModule", "no gradient", "two precisions", "one sample", "numpy"],
)
def test_what_cannot_be_measured_is_named(make, batch, words):
    with pytest.raises(ArgumentError, match=words):
        diagnose(make(), batch)
