"""The MIME structure of a received message, found without ever failing.

Written here rather than taken from ``email``, whose parser recurses (a few hundred nested parts end it)
and takes a minute over 64 MiB of blank lines. Parts are ranges of the one message; nothing is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message as HeaderReader

from treadle.mailbox.text import decode_charset, decode_exact, decode_header, decode_transfer

MAX_HEADER_BYTES = 256 * 1024
"""What lies beyond is body. Postfix cuts a header at 100 KiB (header_size_limit); this is all of them."""
MAX_HEADERS = 1_000
"""Fields; what lies beyond is body too. They are decoded on the event loop when a message arrives."""
MAX_PARTS = 1_000
"""Of one message; what follows stays inside the last one. Postfix looks at 100 levels; people send a dozen parts."""
MAX_DEPTH = 8
"""Each level shows its text once more inside its parent's, so depth is what JSON grows by."""
_MAX_PARAMETER_BYTES = 1_024
"""The reader of header parameters in ``email`` is quadratic; boundaries have 70 characters at most (RFC 2046)."""

# RFC 5322: any printable ASCII but the colon. Folded lines are not part of it.
_HEADER_LINE = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")


@dataclass(frozen=True, slots=True)
class Part:
    """One entity: the message itself, or a part of it.

    ``start``, ``body`` and ``end`` are offsets into ``raw``; the line break before a delimiter, or before
    the final dot, belongs to the framing and is outside. ``parts`` is ``None`` unless it is a multipart.
    """

    raw: bytes = field(repr=False)
    start: int
    body: int
    end: int
    headers: tuple[tuple[str, str], ...]
    content_type: str
    charset: str
    encoding: str
    filename: str
    is_attachment: bool
    parts: tuple[Part, ...] | None

    @property
    def size(self) -> int:
        """Bytes, headers included."""
        return self.end - self.start

    @property
    def is_text(self) -> bool:
        """Whether its content is meant to be read as text."""
        return self.content_type.startswith("text/")

    def text(self) -> str:
        """Text is decoded for reading; everything else stays as it was sent."""
        content = self.raw[self.body : self.end]
        if self.parts is not None or not self.is_text:
            return decode_exact(content)
        return decode_charset(decode_transfer(content, self.encoding), self.charset)

    def leaves(self) -> Iterator[Part]:
        """All parts below that are no multiparts, in order; the part itself if it is none."""
        if self.parts is None:
            yield self
        for part in self.parts or ():
            yield from part.leaves()


def parse(raw: bytes) -> Part:
    """The structure of a whole message. Never raises; what cannot be understood is plain text."""
    end = len(raw)
    if raw.endswith(b"\r\n"):
        end -= 2
    elif raw.endswith(b"\n"):
        end -= 1
    return _Splitter(raw).part(0, end, depth=0)


def read_headers(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Only the headers of a whole message, decoded, in order."""
    lines, _ = _header_lines(raw, 0, len(raw))
    return tuple((name, decode_header(value)) for name, value in lines)


class _Splitter:
    """Splits one message; carries the budget of parts through the recursion, whose depth is bounded."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._left = MAX_PARTS

    def part(self, start: int, end: int, depth: int) -> Part:
        lines, body = _header_lines(self._raw, start, end)
        steering = _steering(lines)
        parts: tuple[Part, ...] | None = None
        if steering.boundary and depth < MAX_DEPTH:
            ranges = self._ranges(body, end, steering.boundary)
            parts = tuple(self.part(first, last, depth + 1) for first, last in ranges)
        return Part(
            raw=self._raw,
            start=start,
            body=body,
            end=end,
            headers=tuple((name, decode_header(value)) for name, value in lines),
            content_type=steering.content_type,
            charset=steering.charset,
            encoding=steering.encoding,
            filename=steering.filename,
            is_attachment=steering.is_attachment,
            parts=parts,
        )

    def _ranges(self, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
        """Where the parts lie. A missing closing delimiter is forgiven; what follows one is ignored."""
        ranges: list[tuple[int, int]] = []
        opened = -1
        for line, after, closes in _delimiters(self._raw, start, end, boundary):
            if self._left <= 0 and not closes:
                break  # what follows stays inside the last part
            if opened >= 0:
                ranges.append((opened, max(opened, _before_line_break(self._raw, opened, line))))
            opened = -1 if closes else after
            if closes:
                break
            self._left -= 1
        if opened >= 0:
            ranges.append((min(opened, end), end))
        return ranges


def _delimiters(raw: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Each delimiter line: where it starts, where the next line starts, and whether it is the closing one."""
    # With its line feed, so that dashes inside lines cost nothing. The body follows one, too.
    mark = b"\n--" + boundary
    at = raw.find(mark, max(0, start - 1), end)
    while at >= 0:
        after = at + len(mark)
        stop = raw.find(b"\n", after, end)
        stop = end if stop < 0 else stop
        # A line is as long as its sender likes: look only at what a delimiter may carry.
        rest = raw[after : min(stop, after + 80)].strip()
        if rest in (b"", b"--"):
            yield at + 1, min(stop + 1, end), rest == b"--"
        at = raw.find(mark, after, end)


def _before_line_break(raw: bytes, floor: int, at: int) -> int:
    """The offset before the line break that ends at ``at``, but not below ``floor``."""
    if at > floor and raw[at - 1] == 0x0A:
        at -= 1
        if at > floor and raw[at - 1] == 0x0D:
            at -= 1
    return at


def _header_lines(raw: bytes, start: int, end: int) -> tuple[list[tuple[str, bytes]], int]:
    """The unfolded header fields, undecoded, and where the body starts.

    The first line that is neither a field nor the continuation of one starts the body, so that a message
    without headers is all body.
    """
    limit = min(end, start + MAX_HEADER_BYTES)
    fields: list[tuple[str, list[bytes]]] = []
    at = start
    while at < limit and len(fields) < MAX_HEADERS:
        stop = raw.find(b"\n", at, limit)
        stop = limit if stop < 0 else stop + 1
        line = raw[at:stop]
        if line in (b"\r\n", b"\n"):
            at = stop
            break
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif match := _HEADER_LINE.match(line):
            fields.append((match[1].decode("ascii"), [line[match.end() :]]))
        else:
            break
        at = stop
    return [(name, b"".join(lines)) for name, lines in fields], at


@dataclass(frozen=True, slots=True)
class _Steering:
    """What the headers say about how to read the content."""

    content_type: str = "text/plain"
    boundary: bytes = b""
    charset: str = ""
    encoding: str = ""
    filename: str = ""
    is_attachment: bool = False


_STEERING_HEADERS = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})


def _steering(lines: list[tuple[str, bytes]]) -> _Steering:
    """Read with the standard library's reader of parameters (RFC 2045, RFC 2231)."""
    reader = HeaderReader()
    for name, value in lines:
        if name.lower() in _STEERING_HEADERS and name not in reader:
            short = value[:_MAX_PARAMETER_BYTES].replace(b"\r", b"").replace(b"\n", b"")
            reader[name] = decode_exact(short).strip()
    if not len(reader):
        return _Steering()
    try:
        multipart = reader.get_content_maintype() == "multipart"
        return _Steering(
            content_type=reader.get_content_type(),
            boundary=str(reader.get_boundary("")).encode() if multipart else b"",
            charset=str(reader.get_content_charset("")),
            encoding=str(reader.get("content-transfer-encoding", "")),
            filename=decode_header(str(reader.get_filename("")).encode("utf-8", "replace")),
            is_attachment=reader.get_content_disposition() == "attachment",
        )
    except Exception:
        # Which exceptions it raises for broken parameters is nowhere said and has changed between
        # releases; such a message is shown as plain text.
        return _Steering()
