"""The warm search: a process that holds the published index open and the network loaded, and answers at once.

``python -m service`` starts it. People and scripts reach it through Airflow, whose plugin checks who they are
and passes on; its own port answers only who has the secret ``LOOKALIKE_SEARCH_SECRET``.

| module | holds |
|---|---|
| ``app`` | the application: routes, OpenAPI, health, metrics |
| ``routes`` | the API that docs/api.md describes |
| ``questions`` | what is asked, checked before anything is done |
| ``told`` | what is told beside answers to searches |
| ``warm`` | the published version, opened; it changes over when another one is published |
| ``photos`` | pictures from outside: decoded, embedded, kept in mind |
| ``guard`` | the secret, the largest body, the longest queue |
| ``problems`` | errors as RFC 9457 says them |
| ``metrics`` | counts and seconds for Prometheus |
"""
