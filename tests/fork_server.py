"""A process that has loaded what takes long, and forks: each fork is as clean as a process that has just loaded that.

    python tests/fork_server.py SOCKET MODULE...

It imports the modules, and runs `python -m MODULE ARGUMENT...` in a fork for each `fork_client.py MODULE ARGUMENT...`,
with the environment, the folder and the three streams of that process, which ends as its fork does.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_LARGEST_REQUEST = 4 * 1024 * 1024


def serve(address: str, modules: Sequence[str]) -> None:
    """Fork for whoever connects, until the standard input is closed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)  # whoever asks meanwhile waits
    for name in modules:
        importlib.import_module(name)
    _Forks(listener).run()


class _Forks:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}  # by the pid of the fork
        self._selector = selectors.DefaultSelector()
        self._woken, wakes = os.pipe2(os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes)

    def run(self) -> None:
        for source in (self._listener, self._woken, 0):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    return  # nobody is left who may ask
                if key.fileobj is self._listener:
                    self._take(self._listener.accept()[0])
                elif key.fileobj == self._woken:
                    self._reap()
                else:  # whoever asked is gone
                    self._kill(key.data)

    def _take(self, client: socket.socket) -> None:
        message, streams, _, _ = socket.recv_fds(client, _LARGEST_REQUEST, 3)
        size, _, content = message.partition(b"\n")
        while size and len(content) < int(size) and (more := client.recv(_LARGEST_REQUEST)):
            content += more
        if len(streams) == 3 and len(content) == int(size):
            pid = os.fork()
            if pid == 0:
                _be(json.loads(content), streams)
            self._clients[pid] = client
            self._selector.register(client, selectors.EVENT_READ, pid)
        for stream in streams:
            os.close(stream)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                client = self._clients.pop(ended[0])
                with suppress(KeyError):
                    self._selector.unregister(client)
                with suppress(OSError), client:
                    client.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())

    def _kill(self, pid: int) -> None:
        self._selector.unregister(self._clients[pid])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _be(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Be the process that was asked for, to its end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 4096)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        places = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:] = list(dict.fromkeys([*places, *sys.path]))
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))  # noqa: PTH123, SIM115
        sys.argv = request["arguments"]
        importlib.invalidate_caches()
        runpy.run_module(request["arguments"][0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as a process of its own ends
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
