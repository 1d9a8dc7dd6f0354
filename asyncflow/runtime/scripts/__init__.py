"""Scripts of definitions, run with limits: JavaScript and jq, in threads or child processes.

Nothing here decides anything or knows an execution: a script goes in with its input, a JSON
value or an error comes out. Read `evaluator` first, then `javascript` for what a script may do.
"""
