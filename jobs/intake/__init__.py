"""What comes from outside, up to the catalog.

Here are the sources of pictures, listing and looking into files, decoding what nobody vouches for, labels,
archives, and the sample that the project draws.

It imports ``store``, ``lsh`` and ``base``, never PySpark or PyTorch.
"""
