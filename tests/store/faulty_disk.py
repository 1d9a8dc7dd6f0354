"""A disk that fails as told and keeps a log of what was written and synced, under SQLite's own code.

It is SQLite's ordinary file system with three of its methods replaced, registered as the default one for as
long as the context lasts: whatever opens a database in this process meets it. What is read, locked and
mapped goes on as ever; nothing of ours is replaced.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from pathlib import Path
from typing import NamedTuple

OK, FULL, READONLY, IOERR_FSYNC = 0, 13, 8, 1034


class Done(NamedTuple):
    """Something that was done to a file: write, truncate, sync or delete; or a mark of the test."""

    what: str
    name: str
    offset: int = 0
    data: bytes = b""


Refuse = Callable[[Done], int]
"""What SQLite is answered instead of doing it; 0 to do it."""

# Paths are pointers: SQLite's own code keeps them, and reads on behind their end.
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)


class _Vfs(Structure):
    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("rest", c_void_p * 16),
    )


class _Methods(Structure):
    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    )


class FaultyDisk:
    """The file system while it is registered.

    Attributes:
        log: what was done, in order, to files whose path begins with `root`.
        refuse: asked before everything that is done.
    """

    def __init__(self, root: Path) -> None:
        self.log: list[Done] = []
        self.refuse: Refuse = lambda _: OK
        self._root = str(root.resolve())
        self._names: dict[int, str] = {}
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}
        self._library = ctypes.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = c_void_p
        self._found = int(self._library.sqlite3_vfs_find(None))
        self._original = _Vfs.from_address(self._found)
        self._vfs = _Vfs.from_buffer_copy(self._original)
        self._vfs.name, self._vfs.next = b"faulty", None
        self._opens, self._deletes = _Open(self._open), _Delete(self._delete)
        self._vfs.open = cast(self._opens, c_void_p).value
        self._vfs.delete = cast(self._deletes, c_void_p).value
        self._calls = (
            _Write(self._write),
            _Truncate(self._truncate),
            _Sync(self._sync),
            _Close(self._close),
        )

    @contextmanager
    def registered(self) -> Iterator[FaultyDisk]:
        """SQLite opens files with it until the end of the block."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        try:
            yield self
        finally:
            self._library.sqlite3_vfs_register(c_void_p(self._found), 1)
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))

    def mark(self, text: str) -> None:
        """Note in the log that something was known at this point."""
        self.log.append(Done("mark", text))

    # --- called by SQLite -------------------------------------------------------------------------

    def _open(self, _vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        answer = int(_Open(self._original.open)(self._found, path, file, flags, out))
        methods, name = cast(file, POINTER(c_void_p)), _text(path)
        if answer == OK and methods[0] and name.startswith(self._root):
            self._names[file] = name
            methods[0] = ctypes.addressof(self._table(int(methods[0]))[1])
        return answer

    def _table(self, address: int) -> tuple[_Methods, _Methods]:
        if address not in self._tables:
            original = _Methods.from_address(address)
            ours = _Methods.from_buffer_copy(original)
            names = ("write", "truncate", "sync", "close")
            for name, call in zip(names, self._calls, strict=True):
                setattr(ours, name, cast(call, c_void_p).value)
            self._tables[address] = (original, ours)
        return self._tables[address]

    def _behind(self, file: int) -> _Methods:
        ours = cast(file, POINTER(c_void_p))[0]
        return next(first for first, second in self._tables.values() if ctypes.addressof(second) == ours)

    def _done(self, done: Done) -> int:
        answer = self.refuse(done)
        if answer == OK:
            self.log.append(done)
        return answer

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        refused = self._done(Done("write", self._names[file], offset, ctypes.string_at(data, size)))
        return refused or int(_Write(self._behind(file).write)(file, data, size, offset))

    def _truncate(self, file: int, size: int) -> int:
        refused = self._done(Done("truncate", self._names[file], size))
        return refused or int(_Truncate(self._behind(file).truncate)(file, size))

    def _sync(self, file: int, flags: int) -> int:
        refused = self._done(Done("sync", self._names[file]))
        return refused or int(_Sync(self._behind(file).sync)(file, flags))

    def _close(self, file: int) -> int:
        close = _Close(self._behind(file).close)
        del self._names[file]
        return int(close(file))

    def _delete(self, _vfs: int, path: int, sync: int) -> int:
        if _text(path).startswith(self._root):
            refused = self._done(Done("delete", _text(path)))
            if refused:
                return refused
        return int(_Delete(self._original.delete)(self._found, path, sync))


def _text(path: int | None) -> str:
    return ctypes.string_at(path).decode() if path else ""
