"""`python -m stylecine` is the command `stylecine`."""

from stylecine.cli import run

if __name__ == "__main__":
    run()
