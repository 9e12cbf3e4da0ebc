"""Chapter III, soft constraints: claim (E) of the 2019 deck with its Figure 6, and the side of a penalty."""

from __future__ import annotations

import numpy as np

from ortholab.claims import Verdict, claim
from ortholab.theory import penalties

PAGE = "3-constraints/soft_constraints"


@claim(
    "E",
    deck="claim (E), Figure 6",
    statement="Soft orthogonality speeds up and steadies training.",
    page=PAGE,
    recorded="holds if",
    recorded_number=0.043,
    tolerance=0.3,
)
def soft_orthogonality_helps() -> Verdict:
    """A residual network of 8 layers, MNIST, 64 steps, SO against none: accuracy early and at the end; setbacks."""
    from ortholab.experiments.soft_result import claim_differences

    found = claim_differences(seeds=6)
    early, end, setbacks = (found[name] for name in ("early", "final", "setbacks"))
    better, sooner, steadier = end.low > 0, early.low > 0, setbacks.high < 0
    kind = "holds" if better and sooner and steadier else "holds if" if better else "fails"
    missing = [word for word, shown in (("in the early epochs", sooner), ("steadier", steadier)) if not shown]
    return Verdict(
        kind,
        end.value,
        "validation accuracy with SO minus without, after the last of 4 epochs (MNIST, a residual network of 8 layers)",
        f"{end.seeds} paired seeds, 95 % interval {end.low:.3f} to {end.high:.3f}. First half of the epochs: "
        f"{early.low:+.3f} to {early.high:+.3f}; accuracy lost from epoch to epoch: {setbacks.low:+.3f} to "
        f"{setbacks.high:+.3f}, so it was not shown to be better {' nor '.join(missing)}."
        if missing
        else f"{end.seeds} paired seeds, 95 % interval {end.low:.3f} to {end.high:.3f}; sooner and steadier as well.",
        condition="it is read as more accuracy after as many steps of a short training, at this small scale"
        if kind == "holds if"
        else "",
    )


@claim(
    "soft-side",
    deck="slide group III, the soft penalties",
    statement=r"The penalties may be taken on $W^\top W - I$ whatever the shape of $W$.",
    page=PAGE,
    recorded="holds if",
    recorded_number=1.0,
    tolerance=1e-9,
)
def side_matters() -> Verdict:
    """A wide 8 x 32 matrix: SO, MC and SRIP through the Gram matrix of the long side against the short side."""
    W = np.random.default_rng(31).standard_normal((8, 32)) / 32**0.5
    E = W.T @ W - np.eye(32)
    same_so = np.allclose(4 * W @ E, penalties.so_gradient(W), atol=1e-12)
    e, V = np.linalg.eigh(E)
    leading = np.argmax(np.abs(e))
    stuck = float(np.linalg.norm(2 * np.sign(e[leading]) * np.outer(W @ V[:, leading], V[:, leading])))
    i, j = np.unravel_index(np.argmax(np.abs(E)), E.shape)
    T = np.zeros_like(E)
    T[i, j] = np.sign(E[i, j])
    other_mc = not np.allclose(W @ (T + T.T), penalties.mc_gradient(W))
    moving = float(np.linalg.norm(penalties.srip_gradient(W)))
    right = same_so and other_mc and stuck < 1e-12 < 1e-1 < moving
    return Verdict(
        "holds if" if right else "fails",
        float(np.abs(e[leading])),
        r"SRIP's value $\lVert W^\top W - I\rVert_2$ for a wide 8 x 32 matrix; its gradient is 0",
        rf"$W^\top W$ has rank 8, so 24 eigenvalues of the error are $-1$ whatever $W$ is. On the short side, "
        rf"$WW^\top - I$, the gradient of SRIP has norm {moving:.2f}.",
        condition="the penalty is SO or DSO, whose gradients are the same on both sides, or $W$ is not wide"
        if right
        else "",
    )
