"""Who may come in: API keys, the admin login, and no request that another site's page made a browser send."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from enum import StrEnum
from urllib.parse import urlsplit

from treadle.settings import Settings
from treadle.web.problems import CSRF, UNAUTHORIZED, Refused
from treadle.web.request import Request
from treadle.web.throttle import Throttle

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_BASIC = {"WWW-Authenticate": 'Basic realm="treadle", charset="UTF-8"'}
_BEARER = {"WWW-Authenticate": "Bearer"}
_SCOPE_LENGTH = 12


class Guard(StrEnum):
    """What a route asks for; every route of the table names one."""

    PUBLIC = "public"
    KEY = "key"
    ADMIN = "admin"
    METRICS = "metrics"
    """the admin login, or the token that scrapers have"""


class Guards:
    """Holds hashes only, so that the lengths of secrets do not show in how long a comparison takes."""

    def __init__(self, settings: Settings, throttle: Throttle) -> None:
        self._keys = tuple(_hash(key.encode()) for key in settings.api_keys)
        self._login: tuple[bytes, bytes] | None = None
        if settings.admin_user is not None and settings.admin_pass is not None:
            self._login = (_hash(os.fsencode(settings.admin_user)), _hash(os.fsencode(settings.admin_pass)))
        self._token = None if settings.metrics_token is None else _hash(settings.metrics_token.encode())
        self._throttle = throttle

    def admit(self, guard: Guard, request: Request) -> None:
        """Return where ``request`` may pass ``guard``. Raises ``Refused`` (400, 401, 403, 429)."""
        if guard is Guard.KEY:
            self._admit_key(request)
        elif guard is Guard.METRICS:
            self._admit_scraper(request)
        elif guard is Guard.ADMIN:
            if request.method not in _SAFE_METHODS:
                _refuse_other_sites(request)
            self._admit_admin(request)

    def _admit_key(self, request: Request) -> None:
        authorization = request.field(b"authorization")
        if not self._keys:
            return
        shown = _hash(_credentials(authorization, b"bearer") or b"")
        # Every key is looked at, whichever fits: time tells nothing about which.
        matches = [hmac.compare_digest(shown, key) for key in self._keys]
        if not any(matches):
            raise Refused(UNAUTHORIZED, "an API key is needed, as Authorization: Bearer KEY", _BEARER)
        request.client = shown.hex()[:_SCOPE_LENGTH]

    def _admit_scraper(self, request: Request) -> None:
        if self._token is None:
            self._admit_admin(request)
            return
        token = _credentials(request.field(b"authorization"), b"bearer")
        if token is not None and hmac.compare_digest(_hash(token), self._token):
            return
        if self._login is None:
            raise Refused(UNAUTHORIZED, "the metrics token is needed, as Authorization: Bearer TOKEN", _BEARER)
        self._admit_admin(request)

    def _admit_admin(self, request: Request) -> None:
        authorization = request.field(b"authorization")
        if self._login is None:
            return
        self._throttle.check(request.address)
        credentials = _credentials(authorization, b"basic")
        if credentials is not None:
            user, password = _user_and_password(credentials)
            is_user = hmac.compare_digest(_hash(user), self._login[0])
            is_password = hmac.compare_digest(_hash(password), self._login[1])
            if is_user & is_password:
                return
            self._throttle.wrong(request.address)
        raise Refused(UNAUTHORIZED, "the admin login is needed, as HTTP Basic", _BASIC)


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _credentials(authorization: bytes | None, scheme: bytes) -> bytes | None:
    """What follows the scheme, where it is this one; schemes know no case (RFC 9110 section 11.1)."""
    name, _, rest = (authorization or b"").partition(b" ")
    return rest.strip() if name.lower() == scheme else None


def _user_and_password(credentials: bytes) -> tuple[bytes, bytes]:
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        decoded = b""
    user, _, password = decoded.partition(b":")  # a password may hold colons, a user name may not (RFC 7617)
    return user, password


def _refuse_other_sites(request: Request) -> None:
    """The browser's word, else the origin it names; with neither it is no browser. Go 1.25's CrossOriginProtection.

    Needed because a browser adds Basic credentials to whatever page asks for the request.
    """
    site = request.field(b"sec-fetch-site")
    if site is not None:
        is_own = site in (b"same-origin", b"none")
    else:
        origin = request.field(b"origin")
        is_own = origin is None or _netloc(origin) == (request.field(b"host") or b"").lower()
    if not is_own:
        raise Refused(CSRF, "changes are taken from this server's own pages and from programs, not from other sites")


def _netloc(origin: bytes) -> bytes | None:
    """``None``, which equals no host, for ``null`` and for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
