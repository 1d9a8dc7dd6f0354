"""The payload folder: JSON texts in files named by their SHA-256, each written once and never changed.

It knows no execution and no limit; files of another installation are not in its sight. What is stored
and what stands in its place is decided in `runtime/payloads`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, NamedTuple

from asyncflow.errors import ConfigurationError, PayloadUnavailable
from asyncflow.model.installation import Installation
from asyncflow.model.payload_reference import PayloadReference

_SUFFIX: Final = ".json"
_UNFINISHED: Final = ".unfinished-"
_OWNER_DIGITS: Final = 32


class FolderFacts(NamedTuple):
    """What is in a folder, compared with the names that are still in use.

    `missing` are names without a file, in order; files that nobody names are `unnamed`.
    """

    files: int
    bytes: int
    unnamed: int
    unnamed_bytes: int
    missing: tuple[str, ...]


class PayloadFolder:
    """The stored payloads of one installation. All methods block: call them in a thread.

    Attributes:
        path: where its files lie, a folder of its own within the one that was configured.
    """

    def __init__(self, root: str | Path, *, installation: Installation) -> None:
        """Touch nothing yet; the installation's id becomes a name of digits, whatever it is."""
        self.root = Path(root)
        self.path = self.root / _owner(installation.id)
        self._former = self.root / _owner(installation.of(0))  # what was stored before it had its id

    def open(self) -> None:
        """Make the folder, durably, and see that it can be written to.

        What was stored before the installation had an id becomes its own too, once; it also stays where it
        was, as another installation without an id may have it.

        Raises:
            ConfigurationError: it cannot.
        """
        try:
            if self._former.is_dir() and not self.path.exists():
                self._take_over()
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self.root)
            _sync_folder(self.root.absolute().parent)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise ConfigurationError(f"payload_folder: {self.root} cannot be written to: {error}") from error

    def _take_over(self) -> None:
        """Have all of the former folder, or nothing."""
        with tempfile.TemporaryDirectory(dir=self.root, ignore_cleanup_errors=True) as unfinished:
            taken = Path(unfinished) / self.path.name
            taken.mkdir(mode=0o700)
            for each in self._former.glob(f"*{_SUFFIX}"):
                try:
                    os.link(each, taken / each.name)
                except OSError:  # a file system without links
                    shutil.copy2(each, taken / each.name)
            _sync_folder(taken)
            taken.rename(self.path)

    def store(self, texts: Iterable[bytes]) -> list[str]:
        """Keep texts and give their names; a text that is there already is not written again.

        Raises:
            PayloadUnavailable: `payload_not_stored`, the disk is full or the like.

        Durability: contents and names survive a power cut on return.
        """
        names: list[str] = []
        try:
            for text in texts:
                name = hashlib.sha256(text).hexdigest()
                if not self._has(name, len(text)):
                    self._write(name, text)
                names.append(name)
            _sync_folder(self.path)  # also for a file found: who made it may have died before this
        except OSError as error:
            raise PayloadUnavailable("payload_not_stored", f"{error.strerror or error}") from error
        return names

    def _has(self, name: str, size: int) -> bool:
        """Whether the file is there and whole: it is read, as a damaged one is to be replaced."""
        try:
            with self._file(name).open("rb") as file:
                return os.fstat(file.fileno()).st_size == size and _digest(file) == name
        except FileNotFoundError:
            return False

    def _write(self, name: str, text: bytes) -> None:
        descriptor, unfinished = tempfile.mkstemp(dir=self.path, prefix=_UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(self._file(name))
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise

    def load(self, reference: PayloadReference) -> bytes:
        """The text a reference names, compared with its size and its SHA-256.

        Raises:
            PayloadUnavailable: `payload_missing`, `payload_unreadable` or `payload_corrupt`.
        """
        name = reference.sha256
        try:
            with self._file(name).open("rb") as file:
                if os.fstat(file.fileno()).st_size != reference.bytes:
                    raise PayloadUnavailable("payload_corrupt", f"{name} is not of {reference.bytes} bytes")
                text = file.read()
        except FileNotFoundError as error:
            raise PayloadUnavailable("payload_missing", f"{name} is not in the payload folder") from error
        except OSError as error:
            raise PayloadUnavailable("payload_unreadable", f"{name}: {error.strerror or error}") from error
        if hashlib.sha256(text).hexdigest() != name:
            raise PayloadUnavailable("payload_corrupt", f"the content of {name} is not what was stored")
        return text

    def facts(self, named: AbstractSet[str]) -> FolderFacts:
        """What is there, seen against the names in use."""
        sizes = self._sizes()
        unnamed = [size for name, size in sizes.items() if name.removesuffix(_SUFFIX) not in named]
        missing = sorted(name for name in named if name + _SUFFIX not in sizes)
        return FolderFacts(len(sizes), sum(sizes.values()), len(unnamed), sum(unnamed), tuple(missing))

    def prune(self, named: AbstractSet[str]) -> None:
        """Remove every file whose name is not in use, and what a crash left unfinished.

        Only while no engine of this installation runs: what it has just stored is not named yet.

        Raises:
            OSError: a file cannot be removed.
        """
        for name in self._sizes():
            if name.removesuffix(_SUFFIX) not in named:
                (self.path / name).unlink(missing_ok=True)
        if self.path.is_dir():
            _sync_folder(self.path)

    def _sizes(self) -> dict[str, int]:
        """Our files and their sizes; what somebody else put there is left alone."""
        if not self.path.is_dir():
            return {}
        return {
            entry.name: entry.stat().st_size
            for entry in os.scandir(self.path)
            if entry.name.startswith(_UNFINISHED) or entry.name.endswith(_SUFFIX)
        }

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"


def _owner(installation: str) -> str:
    return hashlib.sha256(installation.encode("utf-8", "surrogatepass")).hexdigest()[:_OWNER_DIGITS]


def _digest(file: object) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a file open for bytes


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
