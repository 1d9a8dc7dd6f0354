"""Files of the payload folder: what is written, what is read back, and what is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asyncflow.errors import ConfigurationError, PayloadUnavailable
from asyncflow.model.installation import Installation
from asyncflow.model.payload_reference import PayloadReference
from asyncflow.runtime.payload_folder import PayloadFolder

TEXT = b'["a","b"]'


@pytest.fixture
def folder(tmp_path: Path) -> PayloadFolder:
    made = PayloadFolder(tmp_path / "payloads", installation=Installation("../../etc"))
    made.open()
    return made


def names(folder: PayloadFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def stored(folder: PayloadFolder) -> str:
    return folder.store([TEXT])[0]


def code_of(folder: PayloadFolder, reference: PayloadReference) -> str:
    with pytest.raises(PayloadUnavailable) as caught:
        folder.load(reference)
    return caught.value.code


def test_folder_lies_within_its_root_whatever_the_installation_is_called(
    folder: PayloadFolder, tmp_path: Path
) -> None:
    assert folder.path.parent == tmp_path / "payloads"
    assert folder.path.name.isalnum()


def test_text_comes_back_by_its_reference(folder: PayloadFolder) -> None:
    reference = PayloadReference(stored(folder), len(TEXT))

    assert folder.load(reference) == TEXT
    assert names(folder) == [f"{reference.sha256}.json"]


def test_same_text_is_written_once(folder: PayloadFolder) -> None:
    first = folder.path / f"{stored(folder)}.json"
    before = first.stat()
    folder.store([TEXT])

    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(names(folder)) == 1


@pytest.mark.parametrize("damage", [b"[", b'["a","x"]'])
def test_damaged_file_is_replaced_by_the_same_text(folder: PayloadFolder, damage: bytes) -> None:
    reference = PayloadReference(stored(folder), len(TEXT))
    (folder.path / f"{reference.sha256}.json").write_bytes(damage)

    assert code_of(folder, reference) == "payload_corrupt"
    folder.store([TEXT])
    assert folder.load(reference) == TEXT


def test_file_that_is_gone_is_missing_by_name(folder: PayloadFolder) -> None:
    assert code_of(folder, PayloadReference("0" * 64, 3)) == "payload_missing"


def test_file_that_cannot_be_read_is_told_by_name(folder: PayloadFolder) -> None:
    (folder.path / f"{'0' * 64}.json").mkdir()

    assert code_of(folder, PayloadReference("0" * 64, 3)) == "payload_unreadable"


def test_text_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    folder = PayloadFolder(tmp_path / "never-made", installation=Installation("x"))

    with pytest.raises(PayloadUnavailable, match="payload_not_stored"):
        folder.store([TEXT])


def test_failed_write_leaves_nothing_behind(folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PayloadUnavailable, match="payload_not_stored: No space left"):
            folder.store([TEXT])

    assert names(folder) == []


def test_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="payload_folder"):
        PayloadFolder(tmp_path / "file", installation=Installation("x")).open()


def test_prune_removes_what_is_unnamed_or_unfinished_and_nothing_else(folder: PayloadFolder) -> None:
    kept, gone = folder.store([TEXT, b"[]"])
    (folder.path / ".unfinished-abc").write_bytes(b"half")
    (folder.path / "README").write_text("of somebody else")
    facts = folder.facts({kept, "f" * 64})
    folder.prune({kept})

    assert (facts.files, facts.unnamed, facts.unnamed_bytes, facts.missing) == (3, 2, 6, ("f" * 64,))
    assert names(folder) == sorted([f"{kept}.json", "README"])
    assert gone not in str(names(folder))


def test_folders_of_two_installations_do_not_meet(folder: PayloadFolder) -> None:
    other = PayloadFolder(folder.root, installation=Installation("another"))
    other.open()
    name = stored(folder)
    other.prune(set())

    assert code_of(other, PayloadReference(name, len(TEXT))) == "payload_missing"
    assert folder.load(PayloadReference(name, len(TEXT))) == TEXT
