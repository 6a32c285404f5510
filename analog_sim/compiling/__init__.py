"""How a kernel that is not in the cache is compiled: uninterrupted, and some by a second process at the same time.

It never decides what is cached, and knows kernels by name only. Only `analog_sim._late_cache` imports from it, once a kernel is missing;
but anybody may let the search for garbage rest while much is imported (`collector.resting`).
"""
