"""What every room stands on. Nothing here knows about pictures.

Errors that people read, atomic writes, logs and progress, options and command lines, downloads, text that
is safe to show.

It imports no other room, and neither PySpark, PyTorch nor Airflow.
"""
