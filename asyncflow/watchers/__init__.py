"""Listeners that come with asyncflow: `webhook` and `log`; mail is a package of its own.

They keep to the contract of `plugins/listeners` as a third party's do. What they are told is said in
`docs/event-catalogue.md`.
"""
