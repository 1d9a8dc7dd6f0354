"""`python -m asyncflow`: the same commands as the `asyncflow` script.

Nothing else may live here; the commands are in `asyncflow.cli`.
"""

from __future__ import annotations

from asyncflow.cli import main

if __name__ == "__main__":
    main()
