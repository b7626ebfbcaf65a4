"""The search itself: arrays in, arrays out.

How hashes are packed, decoded and ranked (``sketch``, ``nearest``), how parameters are chosen for a recall
(``choice``) and by which queries (``splits``), measures of what was found (``quality``).

It imports NumPy, Numba, SciPy and ``base``; it reads and writes no file.
"""
