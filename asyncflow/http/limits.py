"""What the server takes at most from the network, in one record; each is a named limit.

It carries numbers only: `connection` and `middleware` hold them. What documents may be like is in
`model/limits`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds on connections and requests.

    Attributes:
        request_bytes: size of one request body, in bytes as received.
        bodies_bytes: size of all larger bodies being received at once.
        line_bytes: length of the request line and of one header field.
        header_fields: header fields of one request.
        header_timeout_s: time from the first byte, or the connection, to the end of the headers.
        body_timeout_s: time for the whole body.
        write_timeout_s: how long a client may not read what is ready for it.
        idle_timeout_s: how long a connection is kept between requests.
        recheck_s: how often the credentials of requests that wait for news are looked at again.
        connections: open at once; more are answered 503 and closed.
        in_flight: requests at work at once, those that wait for news not counted.
        held: requests that wait for news at once: long polls, streams.
    """

    request_bytes: int = 8 << 20
    bodies_bytes: int = 128 << 20
    line_bytes: int = 16 << 10
    header_fields: int = 128
    header_timeout_s: float = 15.0
    body_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    recheck_s: float = 5.0
    connections: int = 20_000
    in_flight: int = 2_000
    held: int = 15_000
