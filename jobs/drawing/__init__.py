"""What people look at: a palette, an answer as lines of text, SVG plots by matplotlib, the report as one
HTML page.

It imports the rooms below, never PySpark or PyTorch.
"""
