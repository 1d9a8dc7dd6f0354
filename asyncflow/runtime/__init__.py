"""What runs: the turn, attempts, timers, scripts, resources.

The runtime carries out what `decide/` wants and reports what came of it; it judges nothing.
Start with `runtime/engine`, then `runtime/turns`.
"""
