"""What the tests of trials share."""


def finish(trial):
    """Train a trial to its end; return its metrics."""
    while not trial.advance():
        pass
    return trial.metrics()


def same(a, b):
    """Equal bit for bit, but for the seconds."""
    return all(repr(a[k]) == repr(b[k]) for k in a if not k.startswith("seconds")) and set(a) == set(b)
