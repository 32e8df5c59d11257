"""The names a server answers to: a name that somebody else can bend to this machine is never among them."""

from __future__ import annotations

import pytest

from treadle.hostname import HostNames, is_host_name

OWN = ["localhost", "LOCALHOST:3000", "localhost.", "localhost:", " localhost "]
ADDRESSES = ["127.0.0.1", "127.0.0.1:3000", "192.168.1.5:80", "[::1]", "[::1]:3000", "[fe80::1]"]
FOREIGN = [
    "",
    "*",
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:localhost",
    "localhost:evil",
    "localhost@evil.example",
    "localhost:3000:3000",
    "::1",
    "[::1",
    "[127.0.0.1]",
    "[evil.example]",
    "127.1",
    "0x7f000001",
    "2130706433",
    "127.0.0.1..",
    "localhost:²",
]
EVERYWHERE = ["0.0.0.0", "0.0.0.0:3000", "[::]", "[::]:3000"]


@pytest.mark.parametrize("host", [*OWN, *ADDRESSES])
def test_own_names_and_numeric_addresses_are_answered(host: str) -> None:
    assert HostNames().have(host)


@pytest.mark.parametrize("host", [*FOREIGN, *EVERYWHERE])
@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost"])
def test_no_other_is_wherever_it_listens(host: str, listens_on: str) -> None:
    assert not HostNames(listens_on).have(host)


@pytest.mark.parametrize("host", ["jobs.example.com", "Jobs.Example.COM:443", "jobs.example.com."])
def test_a_name_that_is_listened_on_or_listed_is_answered(host: str) -> None:
    assert HostNames("jobs.example.com").have(host)
    assert HostNames("0.0.0.0", ["api", "JOBS.example.com."]).have(host)
    assert not HostNames("api", ["example.com"]).have(host)


def test_a_star_answers_to_anything() -> None:
    assert all(HostNames(listed=["*"]).have(host) for host in [*FOREIGN, *EVERYWHERE])


def test_what_may_be_listed() -> None:
    assert all(map(is_host_name, ["api", "mail_hog", "a.b-c.example", "10.0.0.1", "*"]))
    assert not any(map(is_host_name, ["", "api:1", "http://api", "*.example.com", "a b", "-a", "a/b", "é"]))
