"""The DAGs and their tasks, in order."""

TASKS = {
    "similarity_index": [
        "sources",
        "catalog",
        "changes",
        "embed",
        "vectors",
        "calibrate",
        "index",
        "neighbours",
        "gallery",
        "report",
        "publish",
        "query",
        "montage",
    ],
    "similarity_query": ["query", "montage"],
    "similarity_batch": ["batch"],
    "housekeeping": ["housekeeping"],
}
