"""The steps of Lookalike, in the order in which the data flows.

sources -> catalog -> embed -> vectors -> index -> query -> montage

Every step is a plain function and a ``main(argv)``; none needs Airflow.
"""
