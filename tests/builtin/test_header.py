from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builtin.corpus import CONTROL_CHARACTERS, ENCODED_WORDS
from treadle.builtin.header import encoded, has_control_character, header_line

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=500)


def lines_of(header: bytes) -> list[bytes]:
    assert header.endswith(b"\r\n")
    return header[:-2].split(b"\r\n")


@given(TEXT | st.text("ab =?", min_size=1, max_size=500) | st.sampled_from(ENCODED_WORDS))
def test_a_subject_reads_back_as_it_was_and_stays_one_header(text: str) -> None:
    header = header_line("Subject", encoded(text))

    message = message_from_bytes(header + b"\r\n")
    assert message.keys() == ["Subject"]
    folded = message["Subject"].replace("\r\n", "")
    assert (folded if folded == text else str(make_header(decode_header(folded)))) == text
    first, *more = lines_of(header)
    assert first.startswith(b"Subject: ")
    assert all(line.startswith(b" ") and line.strip() for line in more)
    assert b"=?" not in header or all(len(line) <= 76 for line in (first, *more))
    assert all(len(line) <= 998 for line in (first, *more))


@pytest.mark.parametrize("text", ENCODED_WORDS)
def test_what_looks_like_an_encoded_word_is_encoded_itself(text: str) -> None:
    assert str(make_header(decode_header(encoded(text)))) == text


@pytest.mark.parametrize("text", ["Hello", 'Re: 100 % of it, "quoted" <b>', "x" * 500])
def test_printable_ascii_stays_readable(text: str) -> None:
    assert encoded(text) == text


@pytest.mark.parametrize("text", [" x", "x ", "a  b", " ", "é", "😀", "a\u00a0b"])
def test_blanks_that_could_be_lost_and_other_alphabets_are_encoded(text: str) -> None:
    assert encoded(text).startswith("=?utf-8?b?")


def test_a_long_list_of_addresses_is_folded_between_them() -> None:
    addresses = [f"somebody{n}@example.com" for n in range(50)]

    lines = lines_of(header_line("To", ", ".join(addresses)))

    assert all(len(line) <= 76 for line in lines)
    assert b"".join(lines) == b"To: " + ", ".join(addresses).encode()


@pytest.mark.parametrize("character", CONTROL_CHARACTERS, ids=ascii)
def test_no_control_character_gets_into_a_line_whoever_calls(character: str) -> None:
    assert has_control_character(f"a{character}b")
    for text in (character, f"a{character}", f"{character}a", f"a{character}Bcc: b@example.com"):
        with pytest.raises(ValueError, match="control character"):
            header_line("Subject", text)
        assert character not in encoded(text)


@given(TEXT)
def test_other_text_holds_no_control_character(text: str) -> None:
    assert not has_control_character(text)
