"""From a picture's bytes to a vector.

Backbones and their weights, resizing, OpenVINO and PyTorch, and the separate process in which untrusted
pictures are decoded.

It imports ``intake``, ``store``, ``lsh`` and ``base``; of all rooms only it and ``spark`` load PyTorch.
"""
