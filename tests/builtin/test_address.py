from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builtin.corpus import CONTROL_CHARACTERS
from treadle.builtin.address import BadAddress, parse_address

NEARLY = st.text(st.sampled_from('aZ0.-_@=?<>"() ,:;[]\\\u00fc\u00df\uff41\u3002\r\n\0'), max_size=20)


@given(st.text() | NEARLY | st.tuples(NEARLY, NEARLY).map("@".join))
def test_the_parser_is_total_and_what_it_takes_is_plain_ascii(text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress as error:
        assert error.code in {"control_character", "address"}
        assert len(text) < 8 or text not in str(error)
    else:
        assert parse_address(address) == address
        assert address.isascii()
        assert address.isprintable()
        assert len(address) <= 254
        assert address.count("@") == 1
        assert not set(address) & set(' <>",:;()[]\\')


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.B+tag_1@Example.COM", "Ada.B+tag_1@example.com"),
        ("!#$%&'*+/?=^_`{|}~-@example.com", "!#$%&'*+/?=^_`{|}~-@example.com"),
        ("root@localhost", "root@localhost"),
        ("ada@b\u00fccher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@B\u00dcCHER.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@bu\u0308cher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@xn--bcher-kva.example.com", "ada@xn--bcher-kva.example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("a@" + "b" * 63 + ".example.com", "a@" + "b" * 63 + ".example.com"),
        ("a@1.example.com", "a@1.example.com"),
    ],
)
def test_plain_addresses_are_taken_with_an_ascii_domain(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "@", "ada", "ada@", "@example.com", "a@b@example.com", "ada @example.com", "ada@ example.com"),
        *(" ada@example.com", "ada@example.com ", "ada@example.com,bob@example.com", "ada@example.com;bob@example.com"),
        *("Ada <ada@example.com>", "<ada@example.com>", '"ada b"@example.com', '"ada"@example.com'),
        *("ada(comment)@example.com", "ada@example.com (Ada)", "group:ada@example.com;", "ada@[127.0.0.1]"),
        *(".ada@example.com", "ada.@example.com", "a..b@example.com", "ada@example..com", "ada@.example.com"),
        *("ada@example.com.", "ada@-example.com", "ada@example-.com", "ada@exa_mple.com", "ada@127.0.0.1", "a@1"),
        *("\u00fcser@ex\u00e4mple.com", "\u00fcser@example.com", "ada\uff20example.com", "ada@stra\u00dfe.example.com"),
        *("ada@\uff45xample.com", "ada@\u2460.example.com", "ada@ex\u200dample.com", "ada@example\u3002com"),
        *("ada@ex\u00adample.com", "ada@\ud800.example.com", "ada@\u00fc" + "x" * 63 + ".example.com"),
        *("a" * 65 + "@example.com", "a@" + "b" * 64 + ".example.com", "a@" + "b." * 126 + "example.com"),
        "a" * 64 + "@" + ".".join(["b" * 60] * 4),
        "a@" + "\u00fc" * 100_000,
        *("=?utf-8?q?x=0d=0aBcc:=20v@w?= <a@example.com>", "=?utf-8?q?x?=@example.com"),
        *("ada@example.com%0d%0a", "ada@example.com>,<bob@example.com", "ada@example.com SIZE=1"),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)

    assert caught.value.code == "address"


@pytest.mark.parametrize("character", CONTROL_CHARACTERS, ids=ascii)
@pytest.mark.parametrize("shape", ["{}ada@example.com", "a{}da@example.com", "ada@exam{}ple.com", "ada@example.com{}"])
def test_a_control_character_anywhere_is_named_as_such(character: str, shape: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(shape.format(character))

    assert caught.value.code == "control_character"
