"""Stored results: read with every check, as arrays or a table, with the line that says where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ortholab.errors import ArgumentError, StoreError, bad
from ortholab.experiments.encoding import from_plain
from ortholab.experiments.engine import Plan, difference
from ortholab.experiments.registry import Experiment
from ortholab.experiments.specification import describe
from ortholab.experiments.store import Store


@dataclass(frozen=True, eq=False)
class Results:
    """The results of one specification: ``units[i]`` (fields by name) gave ``metrics[i]``, in ``seconds[i]``.

    >>> Results({}, ({"seed": 0},), ({"accuracy": 0.5},), (1.0,)).metrics[0]["accuracy"]
    0.5
    """

    manifest: dict
    units: tuple[dict, ...]
    metrics: tuple[dict, ...]
    seconds: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.units)

    def where(self, **fields: object) -> Results:
        """Return the units that have these values of these fields. Raises ArgumentError where there is none.

        >>> load("runs", "linear_depth").where(start="orthogonal", depth=8)  # doctest: +SKIP
        """
        keep = [i for i, unit in enumerate(self.units) if all(unit.get(k) == v for k, v in fields.items())]
        if not keep:
            raise ArgumentError(f"no unit has {fields}; the fields are {', '.join(self.units[0])}")
        chosen = ([column[i] for i in keep] for column in (self.units, self.metrics, self.seconds))
        return Results(self.manifest, *map(tuple, chosen))

    def values(self, metric: str) -> np.ndarray:
        """Return one metric of all units as an array, units first (of arrays where they differ in length)."""
        if not self.metrics or any(metric not in found for found in self.metrics):
            raise bad("metric", metric, "one of " + ", ".join(sorted(self.metrics[0] if self.metrics else ())))
        values = [found[metric] for found in self.metrics]
        if len({np.shape(value) for value in values}) == 1:
            return np.array(values)
        ragged = np.empty(len(values), dtype=object)
        ragged[:] = [np.asarray(value) for value in values]
        return ragged

    def frame(self):
        """Return a pandas DataFrame, a row a unit: its fields, its single-valued metrics, its seconds."""
        import pandas

        single = [{k: v for k, v in found.items() if np.ndim(v) == 0} for found in self.metrics]
        rows = [u | m | {"seconds": s} for u, m, s in zip(self.units, single, self.seconds, strict=True)]
        return pandas.DataFrame(rows)

    def summary(self):
        """Return a DataFrame over seeds: for each single-valued metric its mean and 95 % t interval, and n seeds.

        Where a value is not finite (a run that diverged, say), its configuration's interval is left out (NaN).
        """
        import pandas

        from ortholab.experiments.estimate import half_width

        frame = self.frame().drop(columns="seconds")
        fields = [name for name in self.units[0] if name != "seed"]
        names = [n for n in frame.columns if n not in (*fields, "seed") and pandas.api.types.is_numeric_dtype(frame[n])]
        rows = []
        for key, group in frame.groupby(fields, sort=False, dropna=False) if fields else [((), frame)]:
            row, n = dict(zip(fields, key, strict=True)) | {"seeds": len(group)}, len(group)
            for name in names:
                values = group[name].to_numpy(dtype=float)
                row[name] = values.mean() if np.isfinite(values).all() else np.inf if np.isinf(values).any() else np.nan
                row[f"{name} ±"] = float(half_width(values)) if n > 1 and np.isfinite(row[name]) else np.nan
            rows.append(row)
        return pandas.DataFrame(rows)

    @property
    def provenance(self) -> str:
        """The line for captions: tier, units and seeds, commit, versions, device, date, data."""
        return provenance(self.manifest)


def provenance(manifest: Mapping) -> str:
    """Return one line that says what a stored result comes from."""
    runs, seeds = manifest["runs"], manifest["seeds"]
    commits = {(run["commit"] or "no commit") for run in runs}
    short = ", ".join(sorted(c[:7] + c[40:] if len(c) >= 40 else c for c in commits))
    last = runs[-1]
    torch = ", ".join(sorted({run["versions"]["torch"] for run in runs}))
    threads = f"{manifest['threads']} thread{'s' * (manifest['threads'] != 1)}"
    words = [
        f"{manifest['tier']} tier, specification {manifest['specification_sha256'][:8]}",
        f"{len(manifest['units'])} units" + (f", {len(seeds)} seed{'s' * (len(seeds) != 1)}" if seeds else ""),
        f"commit {short}, torch {torch}, {manifest['device']} ({threads}), {last['started'][:10]}",
        *(f"{d['name']} {d['split']} ({d['source']}, SHA-256 {d['sha256'][:8]})" for d in manifest["data"]),
    ]
    return "; ".join(words)


def load(
    store: str | Path,
    name: str | Experiment | None = None,
    tier: str = "quick",
    *,
    seeds: int | None = None,
    settings: Mapping[str, object] | None = None,
    partial: bool = False,
) -> Results:
    """Return the stored results of an experiment's tier, with every file checked against the manifest.

    Without ``name``, ``store`` is the folder of one manifest, and only its own consistency is checked; with it, also
    that it was made for today's specification. ``partial`` allows units to be missing.
    Raises ArgumentError, and StoreError: missing, truncated, changed by hand, of another specification, not complete.

    >>> import tempfile
    >>> from ortholab.experiments.engine import run
    >>> small = {"depths": (2,), "starts": ("orthogonal",), "width": 10}
    >>> store = run("linear_depth", seeds=1, settings=small, store=tempfile.mkdtemp())
    >>> len(load(store.folder).units)
    1
    """
    plan = Plan.make(name, tier, seeds, settings) if name is not None else None
    target = plan.store(store) if plan else Store.at(store)
    manifest = target.read_manifest()
    if manifest is None:
        what = f"ortholab run {plan.experiment.name} --tier {tier}" if plan else "ortholab run"
        raise StoreError(f"{target.folder} holds no results: `{what}` makes them")
    if plan and manifest["specification_sha256"] != plan.sha256:
        there = difference(manifest["specification"], describe(plan.spec))
        raise StoreError(f"{target.manifest_path} is of another specification ({there}): run it again elsewhere")
    records = list(_records(target, manifest))
    if not partial and not manifest["complete"]:
        raise StoreError(f"{target.folder} is not complete: run the same command again to compute the rest")
    columns = zip(*((r["unit"], from_plain(r["metrics"]), r["seconds"]) for r in records), strict=True)
    return Results(manifest, *(map(tuple, columns) if records else ((), (), ())))


def _records(store: Store, manifest: Mapping) -> Iterator[dict]:
    """Read every unit that the manifest names, in the specification's order."""
    for name, entry in manifest["units"].items():
        yield store.read_result(name, manifest["specification_sha256"], entry["sha256"])[0]


@dataclass(frozen=True)
class Report:
    """What :func:`verify` found of one folder: how many units are whole, and what is wrong with the others."""

    folder: str
    experiment: str
    tier: str
    units: int
    complete: bool
    problems: tuple[str, ...]


def verify(root: str | Path) -> list[Report]:
    """Check every stored result below ``root`` against its manifest. Nothing is changed.

    A folder that is not complete is no problem; a missing, damaged, changed or unknown file is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     verify(folder)
    []
    """
    return [_verify(path.parent) for path in sorted(Path(root).glob("*/*/manifest.json"))]


def _verify(folder: Path) -> Report:
    store, problems, whole = Store.at(folder), [], 0
    try:
        manifest = store.read_manifest()
    except StoreError as error:
        return Report(str(folder), folder.parent.name, folder.name, 0, False, (str(error),))
    for name, entry in manifest["units"].items():
        try:
            store.read_result(name, manifest["specification_sha256"], entry["sha256"])
            whole += 1
        except StoreError as error:
            problems.append(str(error))
    for name in sorted(store.result_names() - set(manifest["units"])):
        try:  # a run that was killed before it could write the manifest leaves such a file, and it is good
            store.read_result(name, manifest["specification_sha256"])
        except StoreError as error:
            problems.append(str(error))
    complete = manifest["complete"] and not problems
    return Report(str(folder), manifest["experiment"], manifest["tier"], whole, complete, tuple(problems))


def overview(root: str | Path) -> list[dict]:
    """Return a row for each folder below ``root``: how many units are stored, begun and wanted, and who runs it."""
    rows = []
    for path in sorted(Path(root).glob("*/*/manifest.json")):
        store = Store.at(path.parent)
        manifest = store.read_manifest()
        rows.append(
            {
                "folder": str(path.parent),
                "experiment": manifest["experiment"],
                "tier": manifest["tier"],
                "units": manifest["total"],
                "stored": len(store.result_names()),
                "checkpoints": len([*store.units.glob("*.checkpoint")]),
                "owner": store.in_use(),
                "complete": manifest["complete"],
            }
        )
    return rows
