"""Nested values as text and as bytes, exactly: how results and checkpoints are written.

Reading runs no code (no pickle), a float comes back with every bit, and two equal values give equal text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from ortholab.errors import ArgumentError


def to_text(value: object) -> str:
    """Return JSON text; arrays are in base64, tensors become arrays and numpy's numbers plain ones.

    >>> to_text({"loss": [0.1, float("inf")], "diverged": np.bool_(True)})
    '{"diverged": true, "loss": [0.1, {"$float": "inf"}]}'
    """
    return json.dumps(plain(value), sort_keys=True, allow_nan=False)


def plain(value: object) -> object:
    """Return what :func:`to_text` writes as JSON, still as Python objects; :func:`from_plain` is its inverse."""
    return _encode(value, _inline, exact=False)


def from_plain(value: object) -> object:
    """Return the value that :func:`plain` encoded.

    >>> from_plain(plain({"s": np.array([1.5, 2.5], dtype=np.float32)}))["s"]
    array([1.5, 2.5], dtype=float32)
    """
    return _decode(value, _outline)


def sha256(text: str | bytes) -> str:
    """Return the SHA-256 of a text (its UTF-8) or of bytes, in hexadecimal."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 of a value's text: equal values have equal digests."""
    return sha256(to_text(value))


def dump(value: object, stream: BinaryIO) -> None:
    """Write the value to a stream as an .npz file: arrays and tensors as they are, all the rest as JSON beside them."""
    arrays: list[np.ndarray] = []

    def keep(array: np.ndarray) -> int:
        arrays.append(array)
        return len(arrays) - 1

    text = json.dumps(_encode(value, keep, exact=True), allow_nan=False)
    members = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez(stream, structure=np.frombuffer(text.encode(), dtype=np.uint8), **members)


def undump(stream: BinaryIO) -> object:
    """Return the value that :func:`dump` wrote; ValueError where the bytes are cut short or changed.

    >>> import io
    >>> dump({"step": 3, "rng": (1, 2**70), "W": np.eye(2)}, stream := io.BytesIO())
    >>> undump(io.BytesIO(stream.getvalue()))
    {'step': 3, 'rng': (1, 1180591620717411303424), 'W': array([[1., 0.],
           [0., 1.]])}
    """
    try:
        with np.load(stream, allow_pickle=False) as file:  # each member carries a checksum
            arrays = {name: file[name] for name in file.files}
        return _decode(json.loads(arrays["structure"].tobytes()), lambda i: arrays[f"a{i}"])
    except (zipfile.BadZipFile, KeyError, EOFError, ValueError, AttributeError, zlib.error) as error:
        raise ValueError(f"not a whole checkpoint ({error})") from None


def _encode(value: object, keep: Callable[[np.ndarray], object], exact: bool) -> object:
    def inner(v):
        return _encode(v, keep, exact)

    if isinstance(value, np.generic):
        if not exact:
            return inner(value.item())
        return {"$scalar": keep(np.asarray(value))}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ArgumentError(f"an array that is stored must hold numbers, bools or strings; got dtype {value.dtype}")
        return {"$array": keep(value)}
    if isinstance(value, dict):
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return {k: inner(v) for k, v in value.items()}
        return {"$pairs": [[inner(k), inner(v)] for k, v in value.items()]}
    if isinstance(value, tuple) and exact:
        return {"$tuple": [inner(v) for v in value]}
    if isinstance(value, list | tuple):
        return [inner(v) for v in value]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _encode_tensor(torch, value.detach().cpu(), keep, exact)
    raise ArgumentError(f"a value of type {type(value).__name__} can't be stored: {value!r:.60}")


def _encode_tensor(torch, value, keep, exact: bool) -> object:
    dtype = str(value.dtype).removeprefix("torch.")
    if value.dtype in (torch.bfloat16, torch.float16):  # numpy has no bfloat16
        return {"$tensor": keep(value.contiguous().view(torch.int16).numpy()), "dtype": dtype}
    return {"$tensor": keep(value.numpy())} if exact else {"$array": keep(value.numpy())}


def _decode(value: object, fetch: Callable[[object], np.ndarray]) -> object:
    def inner(v):
        return _decode(v, fetch)

    if isinstance(value, list):
        return [inner(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$array" in value:
        return fetch(value["$array"])
    if "$scalar" in value:
        return fetch(value["$scalar"])[()]
    if "$tuple" in value:
        return tuple(inner(v) for v in value["$tuple"])
    if "$pairs" in value:
        return {inner(k): inner(v) for k, v in value["$pairs"]}
    if "$tensor" in value:
        import torch

        tensor = torch.from_numpy(fetch(value["$tensor"]))
        return tensor.view(getattr(torch, value["dtype"])) if "dtype" in value else tensor
    return {k: inner(v) for k, v in value.items()}


def _inline(array: np.ndarray) -> dict:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    packed = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "base64": packed}


def _outline(kept: dict) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(kept["base64"]), dtype=np.dtype(kept["dtype"]))
    return flat.reshape(kept["shape"]).copy()
