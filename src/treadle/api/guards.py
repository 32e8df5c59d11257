"""Who may pass: API keys, the admin login, and refusal of cross-site writes. Every route names its guard."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from urllib.parse import urlsplit

from starlette.requests import Request

from treadle.api.problems import BAD_REQUEST, CSRF, TOO_MANY_REQUESTS, UNAUTHORIZED, HttpProblem
from treadle.settings import Settings

MAX_WRONG_TRIES = 10
WINDOW_SECONDS = 60.0
MAX_REMEMBERED_ADDRESSES = 10_000
ANONYMOUS = "anonymous"
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class Guard(Enum):
    """What a route asks of a request."""

    PUBLIC = "public"
    KEY = "key"
    ADMIN = "admin"


class Guards:
    """Checks requests against what the settings ask."""

    def __init__(self, settings: Settings, rising: Callable[[], float]) -> None:
        self._keys = [_digest(key) for key in settings.api_keys]
        self._login: tuple[bytes, bytes] | None = None
        if settings.admin_user is not None and settings.admin_pass is not None:
            self._login = _digest(settings.admin_user), _digest(settings.admin_pass)
        self._throttle = _Throttle(rising)

    def check(self, guard: Guard, request: Request) -> str:
        """The scope of the caller's idempotency keys. Raises ``HttpProblem`` 400, 401, 403, 429."""
        if guard is Guard.PUBLIC:
            return ANONYMOUS
        if len(request.headers.getlist("authorization")) > 1:
            raise HttpProblem(BAD_REQUEST, "send one Authorization header")
        if guard is Guard.KEY:
            return self._check_key(request)
        if self._login is not None:
            self._check_login(request, self._login)
        if request.method not in _SAFE_METHODS:
            _refuse_cross_site(request)
        return ANONYMOUS

    def _check_key(self, request: Request) -> str:
        if not self._keys:
            return ANONYMOUS
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = _digest(key.strip())
        # All keys are compared, so that the time does not tell which one was near.
        matches = [known for known in self._keys if hmac.compare_digest(known, given)]
        if scheme.lower() != "bearer" or not matches:
            raise HttpProblem(
                UNAUTHORIZED, "send Authorization: Bearer KEY with a key of this server", {"WWW-Authenticate": "Bearer"}
            )
        return matches[0].hex()[:12]

    def _check_login(self, request: Request, login: tuple[bytes, bytes]) -> None:
        address = request.client.host if request.client is not None else ""
        self._throttle.check(address)
        user, password = _basic(request.headers.get("authorization", ""))
        # Both are always compared, as digests: neither time nor length tells which one was wrong.
        right = hmac.compare_digest(login[0], _digest(user)) & hmac.compare_digest(login[1], _digest(password))
        if not right:
            if "authorization" in request.headers:
                self._throttle.count_wrong(address)
            challenge = {"WWW-Authenticate": 'Basic realm="treadle", charset="UTF-8"'}
            raise HttpProblem(UNAUTHORIZED, "log in with ADMIN_USER and ADMIN_PASS", challenge)


class _Throttle:
    """Counts wrong passwords by address in a sliding window; bounded, the address longest unseen is forgotten."""

    def __init__(self, rising: Callable[[], float]) -> None:
        self._rising = rising
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, address: str) -> None:
        since = self._rising() - WINDOW_SECONDS
        recent = [at for at in self._wrong.get(address, ()) if at > since]
        if len(recent) >= MAX_WRONG_TRIES:
            wait = {"Retry-After": str(max(1, round(recent[0] - since)))}
            raise HttpProblem(TOO_MANY_REQUESTS, "too many wrong passwords from this address", wait)

    def count_wrong(self, address: str) -> None:
        since = self._rising() - WINDOW_SECONDS
        recent = [at for at in self._wrong.pop(address, ()) if at > since]
        self._wrong[address] = [*recent, self._rising()][-MAX_WRONG_TRIES:]
        while len(self._wrong) > MAX_REMEMBERED_ADDRESSES:
            self._wrong.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _basic(header: str) -> tuple[str, str]:
    """User and password; empty where the header holds none (RFC 7617: the first colon divides)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _refuse_cross_site(request: Request) -> None:
    """Basic credentials are sent by browsers on their own, so other sites' pages must not write (Go 1.25's rule)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise HttpProblem(CSRF, "this request comes from another site")
        return
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise HttpProblem(CSRF, "this request comes from another origin")
