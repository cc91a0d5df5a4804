"""What both servers here answer from, and how they are served."""

import os
import socket

import uvicorn

ACCOUNT = {
    "id": "0198f1c2-7d3e-7a40-9c55-2b1f6e0a4d11",
    "tier": "ENTERPRISE",
    "status": "ACTIVE",
    "metrics": {
        "cpu": {"percent": 1.81},
        "ram": {"megabytesUsed": 543.0},
        "activity": {"apiCallsPerHour": 2580},
    },
}

_EXPECTED = f"Bearer {os.environ['EDGE_TOKEN']}"


def is_known(authorization: str | None) -> bool:
    return authorization == _EXPECTED


def serve(app) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"ready {listener.getsockname()[1]}", flush=True)
    listener.listen()
    # uvloop and httptools are installed, and taken.
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
