"""`python3 -m pyxl` and the `pyxl` command."""

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    from pyxl.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
