"""The kernels of a first product of a chip, in the order in which the second process compiles them.

Those come first that the first process needs last, and those last that it needs first. A test compares the list with what is called.
"""

_MATRIX, _PANELS, _CELLS = "float32[:, ::1]", "float32[:, :, ::1]", "float32[::1]"
_PART = "int64, int64, int64"
_KEY = "uint64, uint64"
_STATE = f"{_CELLS}, {_CELLS}, uint16[::1], float32, float64[::1], float64, float64"

KERNELS: tuple[tuple[str, str, str], ...] = (
    ("analog_sim.reads.kernels.product", "multiply", f"{_PART}, {_MATRIX}, {_PANELS}, {_MATRIX}"),
    (
        "analog_sim.reads.kernels.net",
        "net_and_load",
        f"{_PART}, {_PANELS}, int64[::1], {_PANELS}, float64[::1], float64",
    ),
    ("analog_sim.reads.kernels.net", "load_of_columns", f"{_PANELS}, float64[::1], float64, int64, int64"),
    (
        "analog_sim.reads.kernels.noisy_conversion",
        "noisy_adc",
        f"{_PART}, {_MATRIX}, {_MATRIX}, Tuple((float32, {_KEY}, uint64)), Tuple(({_CELLS}, {_CELLS}, float32, {_CELLS}))",
    ),
    ("analog_sim.reads.kernels.product", "transpose_panels", f"{_PANELS}, {_PANELS}, int64, int64"),
    ("analog_sim.reads.kernels.product", "pack_rows", f"{_MATRIX}, int64[::1], {_PANELS}"),
    ("analog_sim.reads.kernels.energy", "square_and_power", f"{_MATRIX}, {_CELLS}, {_MATRIX}"),
    (
        "analog_sim.reads.kernels.converting",
        "dac_rows",
        f"{_PART}, {_MATRIX}, int64, {_CELLS}, float32, float32, {_MATRIX}",
    ),
    ("analog_sim.reads.kernels.converting", "scale_rows", f"{_PART}, int32[:, ::1], int32[::1]"),
    (
        "analog_sim.cells.kernels.ageing",
        "drift_cells",
        f"int64[:, ::1], {_CELLS}, float64[::1], {_CELLS}, float64, float64, {_CELLS}",
    ),
    (
        "analog_sim.cells.kernels.ageing",
        "read_variance",
        f"{_STATE}, {_MATRIX}, float32, float32, float32, uint8[::1], {_CELLS}",
    ),
    (
        "analog_sim.cells.kernels.ageing",
        "drift_exponents",
        f"int64[:, ::1], {_CELLS}, uint16[::1], {_MATRIX}, float32, float32, boolean, float32, float32, uint8[::1], {_CELLS}, {_CELLS}",
    ),
    (
        "analog_sim.cells.kernels.programming",
        "program_cells",
        f"{_CELLS}, {_CELLS}, {_CELLS}, {_CELLS}, float32, float32, {_CELLS}, {_CELLS}, uint16[::1]",
    ),
    ("analog_sim.mapping.kernels.weight_mapping", "one_sided_pair", f"{_CELLS}, float32, float32, {_CELLS}, {_CELLS}"),
    (
        "analog_sim.mapping.kernels.weight_mapping",
        "scaled_transpose",
        f"{_MATRIX}, float32, {_MATRIX}, int64, int64",
    ),
    ("analog_sim.random.kernels.philox", "fill", f"{_CELLS}, int64, uint64[:, ::1], {_KEY}"),
)
"""Module, function, and types of its arguments as Numba writes them."""
