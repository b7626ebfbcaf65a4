"""What the DAGs do. A task id is a file here, everything else is a room.

The steps, in the order in which the data flows:

    sources -> catalog -> changes -> embed -> vectors -> calibrate -> index
            -> neighbours -> gallery -> report -> publish -> query -> montage

and ``housekeeping``, a DAG of its own, and ``find``, which answers on the command line. Every step is one
public function and a ``main(argv)``; none needs Airflow. What it works on is passed in: catalog, vectors,
calibration, version.

Steps import rooms, rooms import lower rooms, no step imports another. The floors, from the top:

    steps | spark | drawing, search | embedding | intake | store | lsh | base

The contracts are in pyproject.toml; ``make lint`` checks them.
"""
