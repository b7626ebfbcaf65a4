"""What comes from outside, up to the catalog.

Sources of pictures, listing and inspecting files, decoding untrusted pictures, labels, archives, and the
sample that the project draws.

It imports ``store``, ``lsh`` and ``base``, never PySpark or PyTorch.
"""
