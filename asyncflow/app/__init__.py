"""What the surfaces stand on: one method per command and query, and the one place that builds.

`service` is the only door to an engine; `build` is the only module that names concrete classes.
"""
