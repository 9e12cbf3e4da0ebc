"""Messages between the grader and a room: JSON behind its length, over a Unix socket."""

from __future__ import annotations

import json
import socket
import struct
import time

LARGEST = 16 << 20


class Gone(Exception):
    """The other end has closed, or sends what is no message."""


class Late(Exception):
    """No whole message came in time."""


def send(channel: socket.socket, message: dict) -> None:
    """Send one message.

    >>> a, b = socket.socketpair()
    >>> send(a, {"op": "cell"}); receive(b, 1)
    {'op': 'cell'}
    """
    data = json.dumps(message).encode()
    channel.sendall(struct.pack("!I", len(data)) + data)


def receive(channel: socket.socket, seconds: float | None) -> dict:
    """Return the next message; raise Late after ``seconds`` (None: wait), Gone when the other end has closed."""
    end = None if seconds is None else time.monotonic() + seconds
    (length,) = struct.unpack("!I", _exactly(channel, 4, end))
    if length > LARGEST:
        raise Gone("a message of this size is no message of ours")
    try:
        message = json.loads(_exactly(channel, length, end))
    except ValueError:
        raise Gone("what came is no message") from None
    if not isinstance(message, dict):
        raise Gone("what came is no message")
    return message


def _exactly(channel: socket.socket, size: int, end: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        rest = None if end is None else end - time.monotonic()
        if rest is not None and rest <= 0:
            raise Late
        channel.settimeout(rest)
        try:
            piece = channel.recv(min(size - len(data), 1 << 16))
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Gone(str(error)) from None
        if not piece:
            raise Gone("closed")
        data += piece
    channel.settimeout(None)
    return bytes(data)
