"""python -m headlab, for shells that do not find the headlab command."""

from headlab.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
