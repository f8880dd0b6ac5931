"""Experiments: the same student trained in several ways, compared over seeds; ablations and fidelity."""
