"""A PostgreSQL database as a resource of asyncflow: every statement is a job, done once for its token.

`manager` is the plugin; the README tells of its settings.
"""

from asyncflow_postgres.manager import PostgresConfig, PostgresManager, SqlStatement

__all__ = ["PostgresConfig", "PostgresManager", "SqlStatement"]
