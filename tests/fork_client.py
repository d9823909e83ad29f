"""Stands for a fork: `python -I -S tests/fork_client.py SOCKET MODULE ARGUMENT...`; killed, it takes the fork along."""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    request = {"arguments": sys.argv[2:], "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109 - quick
    content = json.dumps(request).encode()
    first = f"{len(content)}\n".encode()
    socket.send_fds(server, [first], [0, 1, 2])
    server.sendall(content)
    for stream in (0, 1, 2):
        os.close(stream)  # the fork's alone from now on
    answer = server.makefile().readline()
code = int(answer or 1)
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
