"""The Python way to write definitions: decorated functions, nodes, workflows.

Everything here ends in a plain Conductor definition; nothing here runs, stores or asks for anything.
Read `workflow` for the builder, `tasks` for `@task`, and `operators` for a node of every task type.
"""
