"""A workflow of three tasks: written here, run by any engine that loads this file."""

from __future__ import annotations

from asyncflow.sdk.tasks import task
from asyncflow.sdk.workflow import Workflow


@task(retries=3, timeout=60)
async def fetch(url: str) -> dict[str, object]:
    """The page at the address; made up here, so that the example needs no network."""
    return {"text": f"content of {url}", "size": 42}


@task
def shorten(text: str, length: int = 20) -> str:
    """The beginning of a text; a plain value is found under `result`."""
    return text[:length]


@task
def send_mail(to: str, body: str) -> None:
    """Pretend to send a mail."""


with Workflow("nightly", version=2) as wf:
    page = fetch.node("fetch_page", url=wf.input.url)
    summary = shorten.node("summary", text=page.output.text)
    mail = send_mail.node("mail", to=wf.input.to, body=summary.output.result)
    wf >> page >> summary >> mail
    wf.output(size=page.output.size)
