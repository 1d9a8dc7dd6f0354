"""What tests of workflows, plugins and the engine itself are made with.

Nothing in asyncflow imports this package. Start with `testing/pure` for deciding without a
runtime, or with `testing/kit` for whole executions.
"""
