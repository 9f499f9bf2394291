"""HTTP/1.1 as uvicorn speaks it with httptools, where that takes too little or too much.

httptools takes what follows a head that offers to upgrade for another protocol, and uvicorn drops
it: the body of every request of Java's own client and of ``curl --http2``. Nor has either of them
a limit for what a head may take.
"""

import asyncio
from array import array

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of a request's line and headers, far beyond what clients send."""

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\n"
    b"connection: close\r\n"
    b"\r\n"
)


class _HeadTooLargeError(Exception):
    """Stops the parser; uvicorn hears only that there is something wrong."""


class _Parser(httptools.HttpRequestParser):
    """A parser that hands over what follows an offer to upgrade; it reads no further."""

    def __init__(self, protocol: "Protocol") -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._protocol = protocol

    def feed_data(self, data: "bytes | bytearray | memoryview | array[int]") -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._protocol.after_offer = bytes(data)[offer.args[0] :]


class Protocol(HttpToolsProtocol):
    """A connection; httptools and uvicorn both want methods to call, so this one is inherited.

    A server that does not switch ignores offers to upgrade (RFC 9110, section 7.8). The parser
    cannot be told so (MagicStack/httptools#124): such a head is read again without its offer.
    """

    after_offer: bytes | None = None
    """What came after a head that is to be read again."""
    _head_without_offer = b""
    """The head that was just read, without its offer; empty where there was none."""
    _head_bytes = 0
    """Received since there was last a beginning or an end of a head, or a part of a body."""

    @property
    def is_answering(self) -> bool:
        """Whether a request came whose answer is not yet written."""
        cycle = self.cycle  # None before the first request, whatever uvicorn's types say
        return bool(cycle) and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin with a parser that ignores offers to upgrade."""
        super().connection_made(transport)
        self.parser = _Parser(self)

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head does not come to its end."""
        self._head_bytes += len(data)
        super().data_received(data)
        while (rest := self.after_offer) is not None:
            self.after_offer = None
            self.parser = _Parser(self)
            super().data_received(self._head_without_offer + rest)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin with a head."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is too large or is to be read again."""
        self._head_bytes = len(self.url) + sum(
            len(name) + len(value) + len(": \r\n") for name, value in self.headers
        )
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLargeError
        self._head_bytes = 0
        self._head_without_offer = self._without_offer()
        if not self._head_without_offer:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless it is to be read again."""
        if not self._head_without_offer:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or a head that is too large."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _without_offer(self) -> bytes:
        if not self.parser.should_upgrade():
            return b""
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        if len(kept) == len(self.headers):  # CONNECT, whose target uvicorn then finds wrong
            return b""
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in kept]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse_head(self) -> None:
        # While a request before it waits, the answer would be taken for that one's.
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # uvicorn's annotation leaves the None out
            self.transport.write(_HEAD_TOO_LARGE)
        self.transport.close()
