"""`python -m stylecine` is the command `stylecine`."""

import sys

from stylecine.cli import main

if __name__ == "__main__":
    sys.exit(main())
