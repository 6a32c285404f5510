"""Random numbers: named Philox streams, keyed by (seed, names, position).

It never keeps global state and never draws with numpy. Others use `streams.Streams` and `streams.Stream`; kernels inline
`kernels.philox` and the branch-free functions of `kernels.math`.
"""
