"""The functions that HyperFlow's two small example workflows call, for `asyncflow run --load`.

HyperFlow finds them in a functions.js beside the workflow; here they are tasks of the same names.
A function takes its inputs by signal name and gives its outputs by signal name.
"""

from __future__ import annotations

import asyncflow as af


@af.task(retries=0)
async def sqr(number: int) -> dict[str, int]:
    """Square the number."""
    return {"square": number * number}


@af.task(name="sum", retries=0)
async def add_up(square: list[int]) -> dict[str, int]:
    """Sum three squares."""
    return {"sum": sum(square)}


@af.task(name="genCollection", retries=0)
async def gen_collection(activation: str) -> dict[str, object]:
    """A collection of as many files as the activation's name has letters, and their count."""
    files = [f"{activation}-{number}.txt" for number in range(len(activation))]
    return {"file": files, "fcount": len(files)}


@af.task(name="procElement", retries=0)
async def proc_element(file: str) -> dict[str, str]:
    """Process one file of a collection."""
    return {"fileout": file.upper()}


@af.task(name="consumeCollection", retries=0)
async def consume_collection(fileout: list[str]) -> dict[str, object]:
    """Take the whole collection at once."""
    return {"consumed": len(fileout), "first": fileout[0] if fileout else None}
