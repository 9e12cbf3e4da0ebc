"""``python -m ortholab`` is the command ``ortholab``."""

from ortholab.cli import main

if __name__ == "__main__":
    main()
