"""The standard library made to switch greenlets where it waits."""

from importlib import metadata

from gevent import monkey


def patch_all() -> None:
    """Patch the standard library, before anything else is imported that waits or locks.

    Before and after each module, gevent looks through all installed packages for plug-ins, of which
    we have none: that would take 0.2 s of CPU, more than the patch itself.
    """
    entry_points = metadata.entry_points
    metadata.entry_points = _no_plugins
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = entry_points


def _no_plugins(**_group: str) -> metadata.EntryPoints:
    return metadata.EntryPoints(())
