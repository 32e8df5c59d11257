"""Why Redis cannot be used, in words of our own.

Never the text of a server: it may repeat what it was sent, the password included, and it need not be Redis at all.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

from redis import exceptions as redis

OLDEST_MAJOR = 7
"""BLMPOP came with Redis 7.0. Valkey calls itself Redis 7.2 towards clients."""

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (redis.AuthenticationError, "it wants another user name or password"),
    (redis.AuthenticationWrongNumberOfArgsError, "it wants another user name or password"),
    (redis.NoPermissionError, "this user may not do what is needed: RPUSH, RPUSHX, BLMPOP and TYPE on the lists"),
    (redis.BusyLoadingError, "it is still loading its data"),
    (redis.OutOfMemoryError, "its memory is full"),
    (redis.ReadOnlyError, "it is a read-only replica"),
    (redis.ClusterCrossSlotError, "it is a cluster; set TREADLE_REDIS_PREFIX to a tag in braces, such as {treadle}:"),
    (redis.ClusterError, "its cluster cannot answer"),
    (redis.MasterDownError, "it is a replica without its master"),
    (redis.AskError, "it is a cluster, and the lists are on another node"),
    (redis.InvalidResponse, "what answers there is not Redis"),
    (redis.TimeoutError, "it does not answer in time"),
)
_BY_CODE = {
    "MISCONF": "it cannot save to its disk and refuses writes",
    "UNBLOCKED": "it became a replica",
    "NOREPLICAS": "it has too few replicas and refuses writes",
    "BUSY": "it is busy with a script",
    "WRONGTYPE": "a list's name is taken by something else",
}


def is_wrong_type(error: Exception) -> bool:
    """Whether a key holds something that is no list."""
    return isinstance(error, redis.ResponseError) and str(error).startswith("WRONGTYPE")


def reason_of(error: BaseException) -> str:
    """Half a sentence, for people."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, redis.ResponseError):
        return _refusal(str(error))
    under = error if isinstance(error, OSError) else error.__context__
    if isinstance(under, ssl.SSLError):
        return f"TLS: {under.verify_message if isinstance(under, ssl.SSLCertVerificationError) else under.reason}"
    if isinstance(under, OSError):
        return _trouble(under)
    if isinstance(error, redis.ConnectionError):
        return "it closed the connection"
    return type(error).__name__


def _trouble(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its host name is not known"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    # Not strerror: asyncio puts an address there. Where there were several to try, there is no number either.
    return os.strerror(error.errno).lower() if error.errno else "no connection to any of its addresses"


def _refusal(said: str) -> str:
    code = said.split(" ", 1)[0]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if said.lower().startswith(("unknown command", "err unknown command")):
        return f"it lacks a command that is needed: Redis {OLDEST_MAJOR}.0 or newer, or Valkey, has them all"
    if "DB index is out of range" in said:
        return "it has no database of the number in REDIS_URL"
    return f"it refused a command ({code if re.fullmatch('[A-Z]{2,20}', code) else 'ERR'})"
