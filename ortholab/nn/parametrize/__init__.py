"""Hard orthogonality in torch: a weight as a function of free parameters, in one line, and undone in one."""

from ortholab.nn.parametrize.base import Constraint
from ortholab.nn.parametrize.cayley import Cayley, cayley_frame
from ortholab.nn.parametrize.constrain import METHODS, constrain, constraint_of, release
from ortholab.nn.parametrize.exponential import Exponential, exponential_frame
from ortholab.nn.parametrize.margin import Margin
from ortholab.nn.parametrize.polar import Polar, whiten
from ortholab.nn.parametrize.reflections import Reflections, reflections_frame
from ortholab.nn.parametrize.scaled_cayley import ScaledCayley, angle_blocks, reaching_signs

__all__ = [
    "METHODS",
    "Cayley",
    "Constraint",
    "Exponential",
    "Margin",
    "Polar",
    "Reflections",
    "ScaledCayley",
    "angle_blocks",
    "cayley_frame",
    "constrain",
    "constraint_of",
    "exponential_frame",
    "reaching_signs",
    "reflections_frame",
    "release",
    "whiten",
]
