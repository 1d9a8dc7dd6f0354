"""What a plugin is written against: contracts of resource managers, task types and listeners.

Nothing here knows the engine. Start with `plugins/resources` for something that is shared, with
`plugins/tasks` for a type of task, with `plugins/listeners` to hear of events; `plugins/registry` finds
what is installed. The suites that a plugin's own tests run are in `asyncflow.testing`.
"""
