"""The tasks of the demo: plain functions, which run in threads because they wait for the disk.

Each may run again after a crash, so each gives the same for the same files and writes whole files
only. None follows a link or opens anything but a regular file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncflow as af

_CHUNK = 1 << 20
_MOST_PATH_CHARACTERS = 400_000  # of all files together: they travel as one task's output
_LEFT_OUT_FOLDERS = frozenset({"__pycache__", "node_modules"})
_MOST_KIND_CHARACTERS = 20


@af.task(timeout=300, retries=1, retry_delay=1)
def list_files(folder: str, most: int, except_folder: str) -> dict[str, object]:
    """The regular files below a folder by path, at most so many, and how many are left out."""
    root = Path(folder)
    files: list[dict[str, str]] = []
    left_out = characters = 0
    for path in _regular_files(root, Path(except_folder)):
        name = path.relative_to(root).as_posix()
        characters += len(name)
        if len(files) >= most or characters > _MOST_PATH_CHARACTERS or not name.isprintable():
            left_out += 1
        else:
            files.append({"folder": folder, "path": name})
    return {"files": files, "left_out": left_out}


def _regular_files(root: Path, excepted: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _LEFT_OUT_FOLDERS and Path(place) / name != excepted
        )
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and stat.S_ISREG(_mode(path)):
                yield path


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:  # it went away since it was listed
        return 0


@af.task(concurrency=8, timeout=300, retries=2, retry_delay=1)
def measure_file(folder: str, path: str, ctx: af.TaskContext) -> dict[str, object]:
    """Hash, bytes and lines of one file, read piece by piece; one that cannot be read counts as empty."""
    digest, size, lines, is_text = hashlib.sha256(), 0, 0, True
    try:
        descriptor = os.open(Path(folder) / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "no regular file any more")
            while chunk := file.read(_CHUNK):
                ctx.check_cancelled()
                digest.update(chunk)
                size += len(chunk)
                lines += chunk.count(b"\n")
                is_text = is_text and b"\0" not in chunk
    except OSError as error:
        return {"path": path, "kind": "unreadable", "bytes": 0, "lines": 0, "problem": error.strerror}
    ctx.record_io(bytes=size, direction="in")
    found: dict[str, object] = {
        "path": path,
        "kind": _kind(path),
        "bytes": size,
        "sha256": digest.hexdigest(),
    }
    return {**found, "lines": lines if is_text else 0, "is_text": is_text}


def _kind(path: str) -> str:
    suffix = Path(path).suffix.lower()[:_MOST_KIND_CHARACTERS]
    return suffix or "no suffix"


@af.task()
def summarise_kind(kind: str, files: list[dict[str, object]]) -> dict[str, object]:
    """Sums over the files of one kind, and the largest of them."""
    largest = max(files, key=lambda file: (_number(file, "bytes"), str(file["path"])))
    return {
        "files": len(files),
        "bytes": sum(_number(file, "bytes") for file in files),
        "lines": sum(_number(file, "lines") for file in files),
        "largest": largest["path"],
        "is_text": kind != "unreadable" and all(file.get("is_text") is True for file in files),
    }


@af.task(retries=1, retry_delay=1)
def write_report(
    folder: str, report: str, kinds: dict[str, dict[str, object]], left_out: int
) -> dict[str, object]:
    """Write the report as a table in Markdown, whole or not at all, and give its sums."""
    ordered = sorted(kinds.values(), key=lambda each: (-_number(each, "bytes"), str(each["kind"])))
    sums = {key: sum(_number(each, key) for each in ordered) for key in ("files", "bytes", "lines")}
    rows = [
        f"| `{each['kind']}` | {each['files']} | {each['bytes']} | {each['lines']} | `{each['largest']}` |"
        for each in ordered
    ]
    text = [
        f"# The files of `{folder}`",
        "",
        f"{sums['files']} files, {sums['bytes']} bytes, {sums['lines']} lines; {left_out} files left out.",
        "",
        "| kind | files | bytes | lines | largest |",
        "| --- | ---: | ---: | ---: | --- |",
        *rows,
        "",
    ]
    _replace(Path(report), "\n".join(text))
    return {"report": report, **sums, "kinds": len(ordered)}


def _replace(target: Path, text: str) -> None:
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


def _number(record: Mapping[str, object], key: str) -> int:
    value = record.get(key)
    return value if isinstance(value, int) else 0
