"""Integrators' packages, as an integrator would write them."""
