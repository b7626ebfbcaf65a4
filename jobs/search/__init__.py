"""An index searched in this process: all that a service needs to answer.

An opened index (``opened``), finding the picture that a person names (``lookup``), the frontier of recall
against candidates, near-duplicates.

It imports the rooms below, never PySpark or PyTorch: the caller supplies the embedding.
"""
