"""Physics of one cell: laws, cards, measurements, all compiled to a CellModel. It never knows a matrix or a weight."""

from analog_sim import check_shadowing

__analog_hil__ = True

check_shadowing("analog_sim")
