"""Data, with no behaviour beyond checking itself: definitions, inputs, events, effects, state.

Nothing here decides, waits or does I/O. `decide/` says what follows from this data.
"""
