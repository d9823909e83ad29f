"""What this process alone may know, on its way to Ray's other processes: with its classes, and where they come from."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import ray.cloudpickle

from raysweep.errors import RequestInvalid


@dataclass(frozen=True, slots=True)
class Carried:
    """Something pickled: classes of modules by their names, those of notebooks and scripts as they are.

    Attributes:
        folders: where the process that has packed it imports from.
    """

    pickled: bytes
    folders: tuple[str, ...]

    def unpack(self) -> Any:
        """What was packed; imports what it needs, also from where the packing process does.

        Raises:
            RequestInvalid: a module is not on this machine.
        """
        sys.path.extend(folder for folder in self.folders if folder not in sys.path)
        try:
            return ray.cloudpickle.loads(self.pickled)
        except (ImportError, AttributeError) as error:
            raise RequestInvalid(
                f"a family of your own cannot be imported on the node {os.uname().nodename}: {error}; install its "
                "package on every node of the cluster"
            ) from error


def carry(value: tuple[Any, ...]) -> Carried:
    """Pack a tuple; an empty one changes nothing where it arrives."""
    folders = tuple(os.path.abspath(folder) for folder in sys.path) if value else ()  # noqa: PTH100 - "" is here
    return Carried(ray.cloudpickle.dumps(value), folders)
