"""What people look at on paper: colours, the table of an answer, plots, the report's page.

Here are a palette, an answer as lines of text, SVG plots by matplotlib, the report as one HTML page.

It imports the rooms below, never PySpark or PyTorch.
"""
