"""Settings: one frozen object, one parser, one table that also makes ``treadle settings`` and the docs.

Every environment name of Treadle stands in this file. Nothing is read at import; all problems are reported
together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from treadle.errors import SettingsError
from treadle.hostname import HOST_NAME_RULE, is_host_name
from treadle.queue import QUEUE_NAME_RULE, is_queue_name

FILE_SUFFIX = "_FILE"
"""Behind the name of a secret: the name of the file that holds it. Read in ``environment``."""

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Addresses that only this machine reaches."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process was told; see ``SETTINGS`` for names, defaults and meaning."""

    api_port: int
    host: str
    api_processes: int
    database_url: str | None
    redis_url: str | None
    redis_prefix: str
    pgbouncer: bool
    accept_loss: bool
    data_dir: Path
    output_dir: Path
    mail_host: str
    mail_port: int
    mail_from: str
    mail_security: str
    mail_username: str | None
    mail_password: str | None
    admin_user: str | None
    admin_pass: str | None
    api_keys: tuple[str, ...]
    open: bool
    allowed_hosts: tuple[str, ...]
    metrics_port: int | None
    metrics_host: str
    metrics_token: str | None
    app: str | None
    concurrency: int
    queues: tuple[str, ...]
    mailbox_host: str
    mailbox_smtp_port: int
    mailbox_port: int
    lease_seconds: float
    heartbeat_seconds: float
    sweep_seconds: float
    reconcile_seconds: float
    poll_seconds: float
    retry_base_seconds: float
    grace_seconds: float
    overrun_seconds: float
    max_body_bytes: int
    payload_validation: str
    migrate: str
    retention_completed_days: float
    retention_failed_days: float
    retention_dead_days: float
    retention_cancelled_days: float
    log_level: str
    log_format: str
    testing: bool
    failpoints: str

    @property
    def is_loopback(self) -> bool:
        """Whether the API is bound to this machine alone."""
        return self.host in LOOPBACK_HOSTS

    @property
    def is_strict(self) -> bool:
        """Whether payloads that their type refuses are refused at the door."""
        return self.payload_validation == "strict"


Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. ``default`` is text, parsed like any value; ``None`` means not set."""

    env: str
    field: str
    default: str | None
    parse: Parse
    expects: str
    meaning: str
    secret: bool = False


def _integer(low: int, high: int) -> Parse:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return parse


def _seconds(low: float, high: float = 366 * 86_400) -> Parse:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError
        return float(text)

    return parse


def _one_of(*words: str) -> Parse:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return parse


def _flag(text: str) -> bool:
    if text.lower() not in {"0", "1", "true", "false", "on", "off", ""}:
        raise ValueError
    return text.lower() in {"1", "true", "on"}


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueError
    return text


def _mail_from(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", text):
        raise ValueError
    return text


def _path(text: str) -> Path:
    return Path(_text(text))


def _database_url(text: str) -> str:
    if not re.match(r"sqlite:///.+|postgres(ql)?://.+", text):
        raise ValueError
    return text


def _redis_url(text: str) -> str:
    if not re.match(r"rediss?://.+|unix://.+", text):
        raise ValueError
    return text


def _redis_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:._{}-]{0,63}", text):
        raise ValueError
    return text


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if any(len(key) < 16 or not re.fullmatch(r"[\x21-\x7e]+", key) for key in keys):
        raise ValueError
    return keys


def _token(text: str) -> str:
    if len(text) < 16 or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError
    return text


def _queues(text: str) -> tuple[str, ...]:
    queues = tuple(queue.strip() for queue in text.split(",") if queue.strip())
    if not all(is_queue_name(queue) for queue in queues):
        raise ValueError
    return queues


def _host_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not all(is_host_name(name) for name in names):
        raise ValueError
    return names


def _app(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        raise ValueError
    return text


_PORT = _integer(1, 65_535)
_PORT_WORDS = "a port from 1 to 65535"
_DAYS = _seconds(0, 36_500)
_DAYS_WORDS = "days, fractions allowed; 0 keeps for ever"
_FAST = _seconds(0.01)
_FAST_WORDS = "seconds of at least 0.01, fractions allowed"

SETTINGS: tuple[Setting, ...] = (
    Setting("API_PORT", "api_port", "3000", _PORT, _PORT_WORDS, "port of the HTTP API"),
    Setting("TREADLE_HOST", "host", "127.0.0.1", _host, "a host name or address", "address the API listens on"),
    Setting(
        "TREADLE_API_PROCESSES",
        "api_processes",
        "1",
        _integer(1, 64),
        "a whole number from 1 to 64",
        "processes that `treadle api` serves its port from; more than one needs PostgreSQL, and Linux",
    ),
    Setting(
        "DATABASE_URL",
        "database_url",
        None,
        _database_url,
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///PATH",
        "where jobs are kept; without it, treadle.db in the data folder",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        "redis_url",
        None,
        _redis_url,
        "redis://HOST:PORT/NUMBER, rediss:// for TLS, or unix://PATH",
        "Redis 7.0 or newer, or Valkey: tells workers at once what is ready; not needed, and losing it loses nothing",
        secret=True,
    ),
    Setting(
        "TREADLE_REDIS_PREFIX",
        "redis_prefix",
        "",
        _redis_prefix,
        "at most 63 letters, digits and : . _ { } -",
        "put before the name of every list in Redis, for a server that is shared",
    ),
    Setting(
        "TREADLE_PGBOUNCER",
        "pgbouncer",
        "0",
        _flag,
        "0 or 1",
        "1 where DATABASE_URL is a PgBouncer in transaction mode: no prepared statements, no startup parameters",
    ),
    Setting(
        "TREADLE_ACCEPT_LOSS",
        "accept_loss",
        "0",
        _flag,
        "0 or 1",
        "1 starts on a PostgreSQL with fsync or synchronous_commit off: an acknowledged job may then be lost",
    ),
    Setting("TREADLE_DATA_DIR", "data_dir", "./data", _path, "a folder", "the SQLite file lives here"),
    Setting("TREADLE_OUTPUT_DIR", "output_dir", "./output", _path, "a folder", "artifacts are published here"),
    Setting("MAIL_HOST", "mail_host", "127.0.0.1", _host, "a host name or address", "mail server of EMAIL_SEND"),
    Setting("MAIL_PORT", "mail_port", "1025", _PORT, _PORT_WORDS, "its port"),
    Setting("MAIL_FROM", "mail_from", "treadle@example.com", _mail_from, "one plain address", "sender of EMAIL_SEND"),
    Setting(
        "TREADLE_MAIL_SECURITY",
        "mail_security",
        "none",
        _one_of("none", "starttls", "tls"),
        "none, starttls or tls",
        "encryption towards the mail server",
    ),
    Setting("TREADLE_MAIL_USERNAME", "mail_username", None, _text, "text", "login at the mail server"),
    Setting("TREADLE_MAIL_PASSWORD", "mail_password", None, _text, "text", "its password", secret=True),
    Setting("ADMIN_USER", "admin_user", None, _text, "text without a colon", "admin login; set both or neither"),
    Setting("ADMIN_PASS", "admin_pass", None, _text, "text", "its password", secret=True),
    Setting(
        "TREADLE_API_KEYS",
        "api_keys",
        "",
        _keys,
        "comma-separated keys of at least 16 printable characters",
        "who may submit and read jobs, as Authorization: Bearer KEY",
        secret=True,
    ),
    Setting("TREADLE_OPEN", "open", "0", _flag, "0 or 1", "1 allows a non-loopback address without keys or login"),
    Setting(
        "TREADLE_ALLOWED_HOSTS",
        "allowed_hosts",
        "",
        _host_names,
        f"comma-separated {HOST_NAME_RULE}",
        "names that the API and the mailbox answer to, besides localhost, numeric addresses and what they listen on",
    ),
    Setting(
        "TREADLE_METRICS_PORT",
        "metrics_port",
        None,
        _PORT,
        _PORT_WORDS,
        "where a worker without the API answers GET /metrics; unset, it does not listen",
    ),
    Setting(
        "TREADLE_METRICS_HOST", "metrics_host", "127.0.0.1", _host, "a host name or address", "address of that port"
    ),
    Setting(
        "TREADLE_METRICS_TOKEN",
        "metrics_token",
        None,
        _token,
        "at least 16 printable characters",
        "what a scraper shows, as Authorization: Bearer TOKEN; the admin login opens GET /metrics too",
        secret=True,
    ),
    Setting("TREADLE_APP", "app", None, _app, "module:name", "the Treadle object that holds your job types"),
    Setting(
        "TREADLE_CONCURRENCY",
        "concurrency",
        "16",
        _integer(1, 1000),
        "a whole number from 1 to 1000",
        "attempts one worker process runs at once",
    ),
    Setting(
        "TREADLE_QUEUES",
        "queues",
        "",
        _queues,
        f"comma-separated names, each {QUEUE_NAME_RULE}",
        "queues a worker serves; empty serves all",
    ),
    Setting(
        "TREADLE_MAILBOX_HOST",
        "mailbox_host",
        "127.0.0.1",
        _host,
        "a host name or address",
        "address the mailbox listens on",
    ),
    Setting("TREADLE_MAILBOX_SMTP_PORT", "mailbox_smtp_port", "1025", _PORT, _PORT_WORDS, "its SMTP port"),
    Setting("TREADLE_MAILBOX_PORT", "mailbox_port", "8025", _PORT, _PORT_WORDS, "its page and JSON"),
    Setting(
        "TREADLE_LEASE_SECONDS",
        "lease_seconds",
        "15",
        _FAST,
        _FAST_WORDS,
        "a worker whose beat stands still this long is taken for dead",
    ),
    Setting("TREADLE_HEARTBEAT_SECONDS", "heartbeat_seconds", "2", _FAST, _FAST_WORDS, "how often a worker beats"),
    Setting("TREADLE_SWEEP_SECONDS", "sweep_seconds", "5", _FAST, _FAST_WORDS, "how often dead workers are looked for"),
    Setting(
        "TREADLE_RECONCILE_SECONDS",
        "reconcile_seconds",
        "5",
        _FAST,
        _FAST_WORDS,
        "longest time until a worker looks for jobs without a hint",
    ),
    Setting("TREADLE_POLL_SECONDS", "poll_seconds", "1", _FAST, _FAST_WORDS, "shortest pause between such looks"),
    Setting(
        "TREADLE_RETRY_BASE_SECONDS",
        "retry_base_seconds",
        "2",
        _seconds(0),
        "seconds, fractions allowed",
        "first pause before a retry; scales every type's backoff",
    ),
    Setting(
        "TREADLE_GRACE_SECONDS",
        "grace_seconds",
        "25",
        _seconds(0),
        "seconds, fractions allowed",
        "time running jobs get to finish at shutdown",
    ),
    Setting(
        "TREADLE_OVERRUN_SECONDS",
        "overrun_seconds",
        "60",
        _seconds(0),
        "seconds, fractions allowed",
        "how long past its timeout an attempt that cannot be stopped keeps its job",
    ),
    Setting(
        "TREADLE_MAX_BODY_BYTES",
        "max_body_bytes",
        str(10 * 1024 * 1024),
        _integer(1024, 1 << 30),
        "bytes from 1024 to 1073741824",
        "largest request body",
    ),
    Setting(
        "TREADLE_PAYLOAD_VALIDATION",
        "payload_validation",
        "strict",
        _one_of("strict", "lenient"),
        "strict or lenient",
        "lenient takes any object as payload and lets the handler fail it",
    ),
    Setting(
        "TREADLE_MIGRATE",
        "migrate",
        "on",
        _one_of("on", "off"),
        "on or off",
        "off: an old schema is refused instead of migrated at start",
    ),
    Setting(
        "TREADLE_RETENTION_COMPLETED_DAYS",
        "retention_completed_days",
        "7",
        _DAYS,
        _DAYS_WORDS,
        "how long completed jobs are kept",
    ),
    Setting(
        "TREADLE_RETENTION_FAILED_DAYS",
        "retention_failed_days",
        "30",
        _DAYS,
        _DAYS_WORDS,
        "how long failed jobs are kept",
    ),
    Setting(
        "TREADLE_RETENTION_DEAD_DAYS", "retention_dead_days", "30", _DAYS, _DAYS_WORDS, "how long dead jobs are kept"
    ),
    Setting(
        "TREADLE_RETENTION_CANCELLED_DAYS",
        "retention_cancelled_days",
        "30",
        _DAYS,
        _DAYS_WORDS,
        "how long cancelled jobs are kept",
    ),
    Setting(
        "TREADLE_LOG_LEVEL",
        "log_level",
        "info",
        _one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        "least important line that is written",
    ),
    Setting(
        "TREADLE_LOG_FORMAT",
        "log_format",
        "auto",
        _one_of("auto", "text", "json"),
        "auto, text or json",
        "auto: text on a terminal, JSON otherwise",
    ),
    Setting("TREADLE_TESTING", "testing", "0", _flag, "0 or 1", "1 allows failpoints; never in production"),
    Setting("TREADLE_FAILPOINTS", "failpoints", "", str, "name=action entries", "faults a test wants injected"),
)


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from names and texts. Raises ``SettingsError`` with every problem, each a whole sentence."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environment.get(setting.env, setting.default)
        if text is None:
            values[setting.field] = None
            continue
        try:
            values[setting.field] = setting.parse(text)
        except ValueError:
            is_secret = setting.secret or ("://" in text and "@" in text)  # a URL with a password, in the wrong place
            shown = "a secret value" if is_secret else repr(text[:80])
            problems.append(f"{setting.env}={shown}: expected {setting.expects}")
    problems += [
        f"{name}: no such setting; `treadle settings` lists them all"
        for name in sorted(environment)
        if name.startswith("TREADLE_")
        and name not in _KNOWN
        and not name.startswith(("TREADLE_TEST_", "TREADLE_BROWSER"))
    ]
    problems += _contradictions(environment, values)
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


_KNOWN = {setting.env for setting in SETTINGS}


def _contradictions(environment: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    user, password = environment.get("ADMIN_USER"), environment.get("ADMIN_PASS")
    if (user is None) != (password is None):
        lacking = "ADMIN_PASS" if password is None else "ADMIN_USER"
        problems.append(f"{lacking} is not set: set both ADMIN_USER and ADMIN_PASS, or neither")
    if user is not None and ":" in user:
        problems.append("ADMIN_USER: a login name cannot hold a colon (RFC 7617)")
    lease, heartbeat = values.get("lease_seconds"), values.get("heartbeat_seconds")
    if lease and heartbeat and round(heartbeat * 3, 6) > lease:
        problems.append("TREADLE_HEARTBEAT_SECONDS must be at most a third of TREADLE_LEASE_SECONDS")
    if (values.get("api_processes") or 1) > 1 and (values.get("database_url") or "sqlite:").startswith("sqlite:"):
        problems.append(
            f"TREADLE_API_PROCESSES={values['api_processes']}: processes that share a SQLite file write one after "
            "another, so that more of them do no more; leave it at 1, or name a PostgreSQL in DATABASE_URL"
        )
    if values.get("failpoints") and not values.get("testing"):
        problems.append("TREADLE_FAILPOINTS is for tests and refused unless TREADLE_TESTING=1")
    if (
        values.get("mail_username")
        and values.get("mail_security") == "none"
        and values.get("mail_host") not in LOOPBACK_HOSTS
    ):
        problems.append(
            "TREADLE_MAIL_SECURITY=none: the mail login would cross the network in clear; set starttls or tls"
        )
    is_guarded = values.get("metrics_token") or user is not None or values.get("open")
    if values.get("metrics_port") and values.get("metrics_host") not in {*LOOPBACK_HOSTS, None} and not is_guarded:
        problems.append(
            f"TREADLE_METRICS_HOST={values['metrics_host']}: anybody who reaches this address could read the metrics; "
            "set TREADLE_METRICS_TOKEN, or TREADLE_OPEN=1 if that is meant"
        )
    if values.get("host") not in {*LOOPBACK_HOSTS, None} and not values.get("open"):
        if not values.get("api_keys"):
            problems.append(
                f"TREADLE_HOST={values['host']}: anybody who reaches this address could submit jobs; "
                "set TREADLE_API_KEYS, or TREADLE_OPEN=1 if that is meant"
            )
        if user is None and password is None:
            problems.append(
                f"TREADLE_HOST={values['host']}: anybody who reaches this address could use /admin; "
                "set ADMIN_USER and ADMIN_PASS, or TREADLE_OPEN=1 if that is meant"
            )
    return problems
