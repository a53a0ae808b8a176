"""Connects to a Ray cluster, for batches and the service."""

import logging
import os
import pkgutil
import signal
import socket
from contextlib import suppress
from typing import Any

from stylecine.errors import OptionError, StylecineError, first_line
from stylecine.version import __version__

PLACEMENT_TIMEOUT = 120.0  # seconds without an actor on any node after which the cluster counts as full


def connect(address: str) -> Any:
    """Returns the module Ray, connected to the cluster at that address, or "auto".

    Raises OptionError if Ray is not installed or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise OptionError("--ray needs Ray; install it with: pip install 'stylecine[ray]'.") from None
    handler = signal.getsignal(signal.SIGTERM)
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    try:
        if colon and port.isdigit():  # if nothing listens there, Ray would keep trying for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except Exception as error:
        reason = first_line(error)
        raise OptionError(f"There is no Ray cluster at '{address}' ({reason}); start one, or correct --ray.") from None
    finally:
        with suppress(ValueError):  # only the main thread may set handlers
            signal.signal(signal.SIGTERM, handler)  # Ray has replaced it
    return ray


def gpus(ray: Any, device: str | None) -> int:
    """How many GPUs of the cluster work on that device takes, None being any."""
    return 0 if device == "cpu" else int(ray.cluster_resources().get("GPU", 0))


class Actor:
    """On a node. `version` comes first, and runs no sooner than there is room for it; then `load`."""

    def version(self) -> str:
        """The node's version of stylecine."""
        return __version__

    def load(self, factory: str, arguments: tuple[Any, ...]) -> StylecineError | None:
        """Makes `handler` what a factory, "module:function", returns, unless it raises the error that is returned."""
        try:
            self.handler = pkgutil.resolve_name(factory)(*arguments)
        except StylecineError as error:
            return error
        return None


def check_version(version: str) -> None:
    """Raises OptionError if a node has another version of stylecine."""
    if version != __version__:
        raise OptionError(
            f"A node of the cluster has stylecine {version}, and this machine {__version__}; install the same version."
        )
