"""What lies in the data root: one module per kind of file, with its format number and its typed shape.

Here ``root`` says where things lie, ``documents`` and ``arrays`` check what is read; then come catalog,
embeddings, vectors, calibrations, packed parts, versions, gallery, answers and settings.

It imports ``lsh`` and ``base``, never PySpark or PyTorch, so that pages may read everything.
"""
