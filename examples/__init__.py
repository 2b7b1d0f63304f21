"""Integrators' packages, as an integrator would write them: `shop` is the one that the documents speak of."""
