"""Files that a user gives, looked at before anything is imported to read them."""

import os

from stylecine.errors import StylecineError
from stylecine.machine.atomic import PathLike


def check_file(path: PathLike, what: str, error: type[StylecineError]) -> None:
    """Raises `error` unless `path` is a file that can be opened. what: as people call it, such as photo."""
    try:
        if os.path.isdir(path):
            raise error(f"'{path}' is a folder, not a {what}; name one file in it.")
        if os.path.exists(path) and not os.path.isfile(path):  # reading a pipe would block
            raise error(f"'{path}' is a pipe or a device, not a file; save the {what} to a file and name that.")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise error(f"There is no {what} at '{path}'; check the path.") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"'{path}' cannot be opened ({reason}); check the path and its permissions.") from None
