"""The pure core: what happened, and what should be under way, as functions of their arguments.

Nothing here asks the time, draws a number, logs or does I/O; `import-linter` holds it to that.
Start with `decide/decider`, then `decide/evolve`.
"""
