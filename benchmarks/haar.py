"""Haar sampling beside scipy.stats.ortho_group: one process, one thread, interleaved, medians.

Run ``python benchmarks/haar.py``. Both return an orthogonal matrix to rounding; the error is printed beside the time.
"""

import _compare  # first: it sets one thread before numpy is imported
import numpy as np
from scipy import stats

from ortholab.theory import haar


def main() -> None:
    """Print one row a size."""
    print(_compare.machine())
    for n, repeats in ((100, 60), (500, 20), (2000, 5)):
        times = _compare.medians(
            {
                "ortholab": lambda n=n: haar(n, rng=0),
                "scipy": lambda n=n: stats.ortho_group.rvs(n, random_state=0),
            },
            repeats=repeats,
        )
        draws = haar(n, rng=0), stats.ortho_group.rvs(n, random_state=0)
        error = [np.linalg.norm(q.T @ q - np.eye(n)) for q in draws]
        print(_compare.row(f"haar n={n}", times, "ortholab"), f" error {error[0]:.0e} (scipy {error[1]:.0e})")


if __name__ == "__main__":
    main()
