"""What every room stands on, and what knows nothing of pictures.

Here are errors that people read, writing in one step, logs and progress, options and command lines,
downloads, text fit for showing.

It imports no other room, and neither PySpark, PyTorch nor Airflow.
"""
