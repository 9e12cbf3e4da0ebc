"""Everything that the deck numbers or cites, in its order, each with the claims of the ledger that try it."""

from __future__ import annotations

EQUATIONS = {
    "equation (1)": ("1", "1-isometry", "1-condition"),
    "equation (2)": ("2", "2-variance"),
    "equation (3)": ("3",),
    "equation (4)": ("4", "4-depth"),
    "equation (5)": ("5", "5-edge"),
    "equation (6)": ("hardtanh-p", "6"),
    "equation (7)": ("7", "7-isometry"),
    "equation (8)": ("stiefel", "8"),
    "equation (9)": ("9",),
    "equation (10)": ("10", "10-norm", "10-gradient"),
}
FIGURES = {
    "Figure 2": ("figure-2",),
    "Figure 3": ("B", "3BC"),
    "Figure 4": ("C",),
    "Figure 5": ("D", "5-caption"),
    "Figure 6": ("E",),
    "Figure 7": ("figure-7-spectrum", "published-penalty", "gain-1.025"),
    "Figure 8": ("gain-adjusted-wins", "published-penalty"),
}
CLAIMS = {
    "claim (A)": ("A",),
    "claim (B)": ("B",),
    "claim (C)": ("C", "C-theory"),
    "claim (D)": ("D",),
    "claim (E)": ("E",),
}
SYSTEMS = {
    "Saxe et al. 2014": ("saxe",),
    "Pennington et al. 2017": ("pennington-2017",),
    "Pennington et al. 2018": ("pennington-2018",),
    "Vorontsov et al. 2017": ("vorontsov", "project"),
    "Helfrich et al. 2018": ("helfrich", "cayley-pi"),
    "Huang et al. 2018": ("huang",),
    "Bansal et al. 2018": ("bansal", "soft-side"),
    "the deck's own recurrent networks": ("rnn-product", "gain-1.025", "gain-adjusted-wins"),
}
PARTS = {"Equations": EQUATIONS, "Figures": FIGURES, "Claims": CLAIMS, "Cited systems": SYSTEMS}
ITEMS = {name: ids for part in PARTS.values() for name, ids in part.items()}
