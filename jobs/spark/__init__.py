"""All PySpark outside the steps.

The session, packed parts, hashing, search with one task per part, Spark's own search, measuring recall,
embedding on executors, and Spark's settings in ``conf/``.

It imports every room below.
"""
