"""Learning rules and networks. It never sees a conductance; torch is imported in learning.torch_bridge only."""

from analog_sim import check_shadowing

__analog_hil__ = True

check_shadowing("analog_sim", "devices")
