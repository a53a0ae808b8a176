"""A Ray cluster of two nodes of one core each, on this machine alone, as the fixture `address`."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 80_000_000, "include_log_monitor": False}
HEAD = HERE | {"include_dashboard": False, "no_monitor": True}


@pytest.fixture(scope="module")
def on_loopback() -> Iterator[pytest.MonkeyPatch]:
    """Ray told, before it is imported, to stay on loopback, and to start no worker before it has something to do."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is an extra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # which on Linux is to say that
        patch.setenv("RAY_enable_worker_prestart", "0")
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        yield patch


@pytest.fixture(scope="module")
def address(on_loopback: pytest.MonkeyPatch) -> Iterator[str]:
    """Of the cluster."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes.add_node(**HERE)
    yield nodes.address
    nodes.shutdown()


def processes_at(method: str, parent: int) -> list[int]:
    """The processes below one that run this method of an actor."""
    found = []
    for child in children(parent):
        try:
            if method.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:  # it has just ended
            continue
    return found


def children(parent: int) -> list[int]:
    """All processes below one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    below, found = {parent}, True
    while found:
        found = {child for child, its in parents.items() if its in below} - below
        below |= found
    return sorted(below - {parent})
