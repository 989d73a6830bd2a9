"""JSON as a stranger may send it. Layer 5."""

from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_BODY_BYTES = 16 * 1024


class SmallJSONParser(JSONParser):
    """Parses JSON of a sane size and depth; everything else is the client's error, not ours."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decode the body; raises `ParseError`."""
        bounded = _Bounded(stream)
        try:
            return super().parse(bounded, media_type, parser_context)  # type: ignore[arg-type]
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None


class _Bounded:
    """A stream that refuses to give more than `MAX_BODY_BYTES`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_BODY_BYTES

    def read(self, size: int = -1) -> bytes:
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        data = self._stream.read(wanted)
        self._left -= len(data)
        if self._left < 0:
            raise ParseError(_("The body is too large."))
        return data
