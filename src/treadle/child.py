"""``python -m treadle.child HANDLE``: the child process of a worker. Started by ``worker/children``, not by people."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from treadle.assemble import load_apps, registry_of
from treadle.settings import Settings
from treadle.worker.child import confine, serve

COMMAND = (sys.executable, "-m", "treadle.child")


def first_words(settings: Settings) -> bytes:
    """What a child is told before it loads user code: the settings, without what only the worker needs to know."""
    told = msgspec.structs.replace(
        settings, database_url=None, redis_url=None, admin_pass=None, api_keys=(), metrics_token=None
    )
    return msgspec.msgpack.encode(told, enc_hook=str)


def _settings(words: bytes) -> Settings:
    return msgspec.msgpack.decode(words, type=Settings, dec_hook=_path)


def _path(kind: type[Any], value: Any) -> Any:
    return Path(value) if kind is Path else value


def _read_first_words(handle: int) -> bytes:
    # Read without a buffer: what comes after belongs to the line.
    with socket.socket(fileno=handle) as line:
        length = int.from_bytes(_exactly(line, 4), "big")
        words = _exactly(line, length)
        line.detach()
    return words


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = line.recv(count - len(data))
        if not part:
            sys.exit(1)
        data += part
    return data


def main() -> None:
    """Load the apps that the worker names, and serve it."""
    handle = int(sys.argv[1])
    confine()
    settings = _settings(_read_first_words(handle))
    serve(registry_of(load_apps(settings)), settings.output_dir, handle)


if __name__ == "__main__":
    main()
