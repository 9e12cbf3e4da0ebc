"""An explorable with a kernel behind it: one anywidget for JupyterLab, VS Code and Colab."""

from __future__ import annotations

import json

import anywidget
import traitlets

from ortholab.explore import front
from ortholab.explore.explorable import Explorable


class ExplorableWidget(anywidget.AnyWidget):
    """Shows an explorable and answers the front end's questions in this kernel.

    The front end sends ``{"kind": "ping"}`` and gets ``{"kind": "pong"}``; it sends ``{"kind": "ask", "id",
    "request"}`` and gets ``{"kind": "answer", "id", "text"}`` with the text of Explorable.answer_text. The picture at
    the default values travels with the widget, so that a saved notebook shows it with no kernel.
    """

    _esm = front.module()
    _css = front.stylesheet(tokens=True)
    spec = traitlets.Dict().tag(sync=True)
    stored = traitlets.Dict().tag(sync=True)

    def __init__(self, explorable: Explorable):
        first = json.loads(explorable.answer_text("{}"))
        states = [{"values": explorable.defaults(), "answer": first}]
        super().__init__(spec=explorable.declare(), stored={"arrays": [], "states": states})
        self._explorable = explorable
        self.on_msg(self._hear)

    def _hear(self, _widget: object, message: object, _buffers: object) -> None:
        if not isinstance(message, dict):
            return
        if message.get("kind") == "ping":
            self.send({"kind": "pong"})
        elif message.get("kind") == "ask":
            text = self._explorable.answer_text(str(message.get("request", "")))
            self.send({"kind": "answer", "id": message.get("id"), "text": text})
