"""From a picture's bytes to a vector.

Here are backbones and their weights, resizing, OpenVINO and PyTorch, and the process of its own in which
untrusted pictures are decoded.

It imports ``intake``, ``store``, ``lsh`` and ``base``; of all rooms only it and ``spark`` load PyTorch.
"""
