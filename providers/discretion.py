"""Replies and errors on their way in, without the key that went out.

In an error it is blotted out wherever it stands: body, headers, the transport's own words. In an answer
only a key that is surely one (see `data/blotting.py`); else a dummy key would eat words of the answer.
"""

from __future__ import annotations

from data.codec import replace
from data.errors import CallError
from data.schema import Response
from providers.wire import Endpoint, HttpReply, HttpRequest, Provider, Transport


async def send(transport: Transport, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
    """One exchange. Raises TransportError."""
    try:
        reply = await transport.send(request, endpoint)
    except CallError as error:
        raise _blotted(error, endpoint) from None
    blotter = endpoint.blotter
    if reply.status == 200 and not blotter.sure:
        return reply
    body = blotter.in_bytes(reply.body)
    headers = {name: blotter.in_text(value) for name, value in reply.headers.items()}
    if body == reply.body and headers == reply.headers:
        return reply
    return replace(
        reply, body=body, headers=headers, marks=reply.marks if body == reply.body else ()
    )


def decode(codec: Provider, reply: HttpReply, endpoint: Endpoint) -> Response:
    """The answer in a reply, as the codec reads it. Raises CallError."""
    try:
        response = codec.decode(reply)
    except CallError as error:
        raise _blotted(error, endpoint) from None
    blotter = endpoint.blotter
    if not blotter.sure:
        return response
    # In JSON it may have stood in escapes, in a stream in pieces: what was read is looked at once more.
    text, reasoning = blotter.in_text(response.text), blotter.in_text(response.reasoning)
    if (text, reasoning) == (response.text, response.reasoning):
        return response
    return replace(response, text=text, reasoning=reasoning)


def _blotted(error: CallError, endpoint: Endpoint) -> CallError:
    error.message = endpoint.blotter.in_text(error.message)
    error.request_id = endpoint.blotter.in_text(error.request_id)
    error.args = (error.message,)
    return error
