"""`python -m raysweep` is the command line."""

from __future__ import annotations

from raysweep.cli.main import main

if __name__ == "__main__":
    main()
