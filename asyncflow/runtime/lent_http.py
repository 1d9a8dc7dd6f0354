"""The client for outside requests as managers are lent it: `runtime/outbound` in the words of plugins.

It adds no rule of its own. `plugins/surroundings` says what managers see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from asyncflow.errors import LimitExceeded
from asyncflow.plugins.errors import OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.surroundings import HttpAnswer
from asyncflow.runtime.addresses import AddressRefused
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundFailed, OutboundRequest


class LentHttp:
    """Requests of managers, to addresses that tasks may reach."""

    def __init__(self, client: Callable[[], OutboundClient]) -> None:
        """Over the client that this gives, which its owner opens and closes."""
        self._client = client

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout_s: float = 20.0,
    ) -> HttpAnswer:
        """See `HttpCalls.send`."""
        request = OutboundRequest(method, url, headers, body, min(timeout_s, 10.0), timeout_s)
        try:
            answer = await self._client().send(request)
        except AddressRefused as refused:
            raise Rejected(str(refused), is_final=True) from None
        except LimitExceeded as refused:
            raise OutcomeOpen(str(refused)) from None
        except OutboundFailed as failed:
            if failed.may_have_arrived:
                raise OutcomeOpen(str(failed)) from None
            raise Throttled(str(failed)) from None
        return HttpAnswer(answer.status, {k.lower(): v for k, v in answer.headers}, answer.body)
