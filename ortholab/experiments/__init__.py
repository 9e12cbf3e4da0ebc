"""Experiments: each module holds a specification (a frozen dataclass), ``run(spec, ...)`` and a result."""

from ortholab.experiments import trainability

__all__ = ["trainability"]
