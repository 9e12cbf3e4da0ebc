"""Networks at a point (sigma_w, sigma_b), their Jacobians, and weights that stay orthogonal, in torch."""

from ortholab.nn import optim, parametrize
from ortholab.nn.activations import TorchActivation, torch_activation
from ortholab.nn.convolution import delta_orthogonal_
from ortholab.nn.diagnosis import diagnose
from ortholab.nn.init import gaussian_, haar, orthogonal_
from ortholab.nn.init.critical import critical_
from ortholab.nn.jacobian import gradient_norms, jacobian, layer_factors, log_singular_values, singular_values
from ortholab.nn.lru import LRU, LRUNetwork
from ortholab.nn.mlp import MLP, pick_device
from ortholab.nn.penalised_weights import PenalisedWeights
from ortholab.nn.plain_cnn import PlainCNN
from ortholab.nn.recurrent_jacobian import recurrent_jacobian, recurrent_log_singular_values, recurrent_slopes
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.resnet import ResNet
from ortholab.nn.ring_layers import ring_layers
from ortholab.nn.rnn import RNN
from ortholab.nn.rnn_ensemble import RNNEnsemble
from ortholab.nn.soft import SoftOrthogonality
from ortholab.nn.spectral_margin import SpectralMargin
from ortholab.nn.stiefel_weights import StiefelWeights

__all__ = [
    "LRU",
    "MLP",
    "RNN",
    "LRUNetwork",
    "PenalisedWeights",
    "PlainCNN",
    "RNNEnsemble",
    "RecurrentStep",
    "ResNet",
    "SoftOrthogonality",
    "SpectralMargin",
    "StiefelWeights",
    "TorchActivation",
    "critical_",
    "delta_orthogonal_",
    "diagnose",
    "gaussian_",
    "gradient_norms",
    "haar",
    "jacobian",
    "layer_factors",
    "log_singular_values",
    "optim",
    "orthogonal_",
    "parametrize",
    "pick_device",
    "recurrent_jacobian",
    "recurrent_log_singular_values",
    "recurrent_slopes",
    "ring_layers",
    "singular_values",
    "torch_activation",
]
