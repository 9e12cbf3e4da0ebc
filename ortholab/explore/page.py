"""An explorable in the built page: plain HTML with its still picture and its stored answers, which a script wakes."""

from __future__ import annotations

import json

from ortholab.explore.explorable import Explorable
from ortholab.explore.markup import to_html, to_plain

SHARED = 8  # a list at least this long that several states have in common is stored once


def stored(explorable: Explorable) -> dict[str, object]:
    """Compute the answers at every stored state: ``{"arrays": [...], "states": [{"values", "answer"}, ...]}``.

    A long list that occurs more than once stands in ``arrays``, and ``{"$": i}`` in its place.  Raises
    RuntimeError if a state has no answer: a page must not be built with an error in it.
    """
    states = []
    for values in explorable.states():
        answer = json.loads(explorable.answer_text(json.dumps(values)))
        if "error" in answer:
            raise RuntimeError(f"{explorable.name} has no answer at {values}: {answer['error']}")
        states.append({"values": values, "answer": answer})
    return _share(states)


def _share(states: list[dict]) -> dict[str, object]:
    seen: dict[str, int] = {}

    def count(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                count(item)
        elif isinstance(value, list):
            if len(value) >= SHARED:
                key = json.dumps(value)
                seen[key] = seen.get(key, 0) + 1
                if seen[key] > 1:
                    return
            for item in value:
                count(item)

    count([state["answer"] for state in states])
    index: dict[str, int] = {}

    def replace(value: object) -> object:
        if isinstance(value, dict):
            return {key: replace(item) for key, item in value.items()}
        if isinstance(value, list):
            if len(value) >= SHARED and seen.get(key := json.dumps(value), 0) > 1:
                return {"$": index.setdefault(key, len(index))}
            return [replace(item) for item in value]
        return value

    packed = [{"values": s["values"], "answer": replace(s["answer"])} for s in states]
    return {"arrays": [json.loads(key) for key in index], "states": packed}


def embed(data: object) -> str:
    """Write JSON so that it can stand inside a ``<script>`` element.

    >>> embed({"a": "</script>"})
    '{"a":"<\\\\/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("</", "<\\/").replace("<!--", "<\\u0021--")


def html(explorable: Explorable, kicker: str = "Try it") -> str:
    """Return the figure for the built page: title, question, still picture, caption, answer, and the data."""
    from ortholab import plot
    from ortholab.explore.still import draw

    name = "explore-" + explorable.name.replace("_", "-")
    still = plot.svg(draw(explorable.picture()), name=name + "-still", alt=to_plain(explorable.alt))
    data = embed({"spec": explorable.declare(), "stored": stored(explorable)})
    return (
        f'<figure class="ol ol-explorable" id="{name}">'
        f'<div class="ol-x-head"><span class="ol-x-kicker">{kicker}</span> '
        f"<strong>{to_html(explorable.title)}</strong></div>"
        f'<p class="ol-x-question">{to_html(explorable.question)}</p>'
        f'<div class="ol-x-still">{still}</div>'
        f"<figcaption>As it opens: {to_html(explorable.caption)}</figcaption>"
        f'<details class="ol-x-answer"><summary>Answer</summary><p>{to_html(explorable.answer)}</p></details>'
        f'<script type="application/json" class="ol-x-data">{data}</script></figure>'
    )
