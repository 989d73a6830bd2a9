"""JSON as a stranger may send it. Layer 5."""

from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.utils import json

MAX_BODY_BYTES = 16 * 1024


class SmallJSONParser(BaseParser):
    """Parses JSON of a sane size and depth; everything else is the client's error, not ours.

    DRF's own parser reads a body of any size first, and by any codec of Python's that the client
    names.
    """

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decode the body, which is UTF-8 (RFC 8259, 8.1); raises `ParseError`."""
        data = stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise ParseError(_("The body is too large."))
        try:
            return json.loads(data.decode(), parse_constant=json.strict_constant)
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
