"""The journal and the views, and the one database that holds them.

Nothing here decides. Start with `store/journal`, the protocol and its promises.
"""
