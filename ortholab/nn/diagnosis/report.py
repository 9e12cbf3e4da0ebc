"""What a diagnosis found: a verdict, a table, a figure, and the numbers behind them."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ortholab._html import inline
from ortholab.nn.diagnosis.directions import Directions
from ortholab.nn.diagnosis.end_to_end import EndToEnd
from ortholab.nn.diagnosis.row import Row
from ortholab.nn.diagnosis.suggestion import Suggestion
from ortholab.nn.diagnosis.verdict import Finding

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Report:
    """The diagnosis of one network at one batch; :func:`ortholab.diagnose` makes it.

    ``print(report)`` is the readable text, ``report.table()`` a pandas DataFrame of every layer and ``report.figure()``
    the picture. ``verdict`` is "sound" or the kind of the gravest finding.

    >>> import torch
    >>> from ortholab.nn.diagnosis import diagnose
    >>> report = diagnose(torch.nn.Linear(3, 2), torch.zeros(4, 3))
    >>> report.verdict, report.parameters, len(report.table())
    ('sound', 8, 1)
    """

    model: str
    family: str
    depth: int
    parameters: int
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    suggestion: Suggestion
    spectrum: EndToEnd | None = None
    growth: float = math.nan
    square: float = math.nan
    times: tuple[np.ndarray, ...] = ()
    notes: tuple[str, ...] = ()
    gradients_of: str = "random vectors at the output"
    body: Directions | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def verdict(self) -> str:
        """ "sound", "nan", "dead", "vanish", "explode" or "ill-conditioned"."""
        return self.findings[0].kind if self.findings else "sound"

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def words(self) -> str:
        """The verdict in words, all findings."""
        return "; ".join(f.words for f in self.findings) or "sound: gradients and signals pass, in many directions"

    def table(self) -> pandas.DataFrame:
        """Return a row for each call of a layer or activation, in order."""
        import pandas

        rows = [{k: v for k, v in dataclasses.asdict(row).items()} for row in self.rows]
        names = [f.name for f in dataclasses.fields(Row)]
        return pandas.DataFrame(rows, columns=names).rename(columns={"gradient_norm": "gradient norm"})

    def figure(self) -> Figure:
        """Return the picture: signals and gradients along the network, and the singular values of J."""
        from ortholab.nn.diagnosis.picture import draw

        times = self.times if self.depth < 3 else ()
        return draw(self.rows, times, self.spectrum)

    def to_dict(self) -> dict:
        """Return everything as plain values, for JSON: what is NaN or infinite becomes None."""
        spectrum = None
        if self.spectrum is not None:
            spectrum = {k: v for k, v in dataclasses.asdict(self.spectrum).items() if k not in ("s", "weights")}
            spectrum["singular_values"] = self.spectrum.s.tolist()
        return _plain(
            {
                "verdict": self.verdict, "words": self.words, "model": self.model, "family": self.family,
                "depth": self.depth, "parameters": self.parameters, "growth": self.growth,
                "findings": [dataclasses.asdict(f) for f in self.findings], "suggestion": self.suggestion.words,
                "start": dataclasses.asdict(self.suggestion.start) if self.suggestion.start else None,
                "jacobian": spectrum,
                "body": dataclasses.asdict(self.body) if self.body else None,
                "notes": list(self.notes), "seconds": self.seconds,
                "through_time": [t.tolist() for t in self.times],
                "layers": [dataclasses.asdict(row) for row in self.rows],
            }
        )  # fmt: skip

    def jacobian_words(self) -> str:
        """Say what the singular values of J are, how they were found and how sure they are."""
        J = self.spectrum
        if J is None:
            return "not measured"
        how = (
            f"exact, {J.samples} sample{'s' if J.samples > 1 else ''}"
            if J.method == "exact"
            else f"from {J.s.shape[1]} products each way, one sample"
        )
        low = (
            f"s_min = {J.s_min:.4g} (error at most {J.error_min:.1g})"
            if J.resolved
            else f"s_min is at most {max(J.s_min, J.error_min) if J.method == 'exact' else J.s_min:.2g}, not resolved"
        )
        words = (
            f"J of {J.shape[0]} x {J.shape[1]} ({how}): s_max = {J.s_max:.4g} (error at most {J.error_max:.1g}), {low}"
        )
        if J.coupled:
            words += "; samples are coupled (batch statistics): J is of a sample's output by its own input"
        if self.body is not None:
            words += f"; about {self.body.count:.3g} of {min(self.body.shape)} directions reach the last layer"
        return words + ("" if J.variable == "the batch" else f"; by {J.variable}, since the batch holds integers")

    def __str__(self) -> str:
        head = f"{self.model}: {self.verdict.upper()}"
        parts = [
            head,
            f"  {self.depth} layers of weights, {self.parameters:,} parameters, {self.family}; {self.seconds:.2g} s",
            *(_wrapped("finding: ", f.words) for f in self.findings),
            *([_wrapped("finding: ", self.words)] if self.sound else []),
            _wrapped("end to end: ", self.jacobian_words()),
            _wrapped("start: ", self.suggestion.words),
            *(_wrapped("note: ", note) for note in self.notes),
            self._lines(),
        ]
        return "\n".join(parts)

    def _lines(self, most: int = 16) -> str:
        """The layers with weights as text, the middle left out if there are many."""
        rows = [r for r in self.rows if r.kind != "activation"]
        shown = rows if len(rows) <= most else [*rows[: most // 2], None, *rows[-most // 2 :]]
        wide = max([len(r.name) for r in rows] + [5])
        titles = ("forward", "backward", "gradient", "distance", "slope^2", "dead")
        lines = ["  " + "layer".ljust(wide) + "".join(t.rjust(10) for t in titles)]
        for r in shown:
            if r is None:
                lines.append(f"  ... {len(rows) - most} more ...")
                continue
            values = (r.forward, r.backward, r.gradient, r.distance, r.slope, r.dead)
            lines.append("  " + r.name.ljust(wide) + "".join(_short(v).rjust(10) for v in values))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{inline(_safe(f.words))}</li>" for f in self.findings)
        table = self.table().to_html(index=False, float_format=lambda v: f"{v:.3g}", na_rep="", max_rows=24)
        return (
            f"<div><p><strong>{inline(_safe(self.model))}: {inline(self.verdict)}</strong></p>"
            f"<ul>{items or '<li>' + inline(_safe(self.words)) + '</li>'}</ul>"
            f"<p>{inline(_safe(self.jacobian_words()))}</p><p>Start: {inline(_safe(self.suggestion.words))}</p>"
            f"{table}</div>"
        )


def _safe(text: str) -> str:
    return text.replace("$", r"\$").replace("`", "'").replace("**", "^")


def _wrapped(first: str, text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="  " + first, subsequent_indent="    ")


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
