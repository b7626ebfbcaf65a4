"""What is done. A task id is a file here, everything else is a room.

The steps, in the order in which the data flows:

    sources -> catalog -> changes -> embed -> vectors -> calibrate -> index
            -> neighbours -> gallery -> report -> publish -> query -> montage

and ``housekeeping``, a DAG of its own, and ``upload``, which the pages start. Every step is one public
function and a ``main(argv)``; none needs Airflow. It is told what it works on: catalog, vectors,
calibration, version.

Steps know rooms, rooms know lower rooms, no step knows a step. The floors, from the top:

    steps | spark | drawing, search | embedding | intake | store | lsh | base

Contracts in pyproject.toml hold this; ``make lint`` checks them.
"""
