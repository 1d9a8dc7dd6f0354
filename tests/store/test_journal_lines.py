"""Journal files as bytes: torn at every offset, with every byte changed, written on after a tear."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.errors import StoreError
from asyncflow.ids import content_hash
from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from asyncflow.store.journal_file import JournalFile, read_journal
from asyncflow.store.journal_folder import Heading, JournalFolder, Part, WrittenFile, file_name
from asyncflow.store.journal_lines import Over, encode_line

ID = "01a1fd47-fcef-7886-956a-a7a39fa40ca7"
HEADING = Heading(ID, "chain", "2026-03-01", "here")
BODY = '{"name":"chain"}'
HASH = content_hash(BODY.encode())


def events(first: int, count: int) -> list[Recorded]:
    return [
        Recorded(seq, 1_000 + seq, ev.VariablesSet({"n": seq, "é": None}))
        for seq in range(first, first + count)
    ]


def written(folder: Path, *, parts: int = 4) -> tuple[Path, WrittenFile]:
    """A file of a head and some lines of two events each."""
    files = JournalFolder(folder)
    file = files.open_file(HEADING, {HASH: BODY})
    for number in range(parts):
        files.append(file, [Part(ID, events(1 + 2 * number, 2), {})])
    files.sync(file.name)
    files.close()
    return folder / file.name, file


def history(found: JournalFile) -> list[Recorded]:
    return found.streams.get(ID, [])


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path, _ = written(tmp_path)

    found = read_journal(path)

    assert (found.execution_id, found.name, found.installation) == (ID, "chain", "here")
    assert found.definitions == {HASH: BODY}
    assert history(found) == events(1, 8)
    assert not found.torn


def test_torn_at_every_byte_a_file_is_a_beginning_of_itself(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]

    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        lines = sum(end <= size for end in ends)
        if not lines:
            with pytest.raises(StoreError, match="no whole line"):
                read_journal(path)
            continue
        found = read_journal(path)
        assert found.lines == lines
        assert found.size == ends[lines - 1]
        assert history(found) == events(1, 2 * (lines - 1))
        assert bool(found.torn) == (size not in ends)


@pytest.mark.parametrize("bit", [0x01, 0x10, 0x80])
def test_a_flipped_bit_is_never_silently_wrong(tmp_path: Path, bit: int) -> None:
    path, _ = written(tmp_path)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1

    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        if at < last - 1:
            with pytest.raises(StoreError, match="damaged at line"):
                read_journal(path)
        else:
            found = read_journal(path)
            assert found.torn
            assert history(found) == events(1, len(history(found)))


def test_what_stands_before_damage_is_taken_by_choice(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    whole = bytearray(path.read_bytes())
    third = [at for at, byte in enumerate(whole) if byte == ord("\n")][1] + 1
    whole[third + 30] ^= 4
    path.write_bytes(whole)

    found = read_journal(path, until_damage=True)

    assert history(found) == events(1, 2)
    assert found.torn.startswith(f"line 3, byte {third}:")


def test_a_line_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))

    with pytest.raises(StoreError, match="line 3 is missing"):
        read_journal(path)


def test_a_definition_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    files = JournalFolder(tmp_path)
    file = files.open_file(HEADING, {HASH: '{"name":"other"}'})
    files.close()

    with pytest.raises(StoreError, match="not what its name says"):
        read_journal(tmp_path / file.name)


def test_a_torn_file_is_written_on_without_a_gap_or_a_doubled_event(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    files = JournalFolder(tmp_path)

    file = files.open_file(HEADING, {})
    files.append(file, [Part(ID, events(3, 8), {})])
    files.close()

    assert history(read_journal(path)) == events(1, 10)
    assert list(tmp_path.iterdir()) == [path]


def test_events_that_come_too_early_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path, file = written(tmp_path)
    before = path.read_bytes()

    with pytest.raises(StoreError, match="comes too early"):
        JournalFolder(tmp_path).append(file, [Part(ID, events(10, 1), {})])
    assert path.read_bytes() == before


def test_a_file_that_somebody_else_wrote_into_is_left_alone(tmp_path: Path) -> None:
    path, file = written(tmp_path)
    with path.open("ab") as other:
        other.write(b"mine\n")

    with pytest.raises(StoreError, match="somebody else wrote"):
        JournalFolder(tmp_path).append(file, [Part(ID, events(9, 1), {})])


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "there")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / path.name).symlink_to(path)

    with pytest.raises(OSError, match="symbolic links"):
        JournalFolder(tmp_path / "here").open_file(HEADING, {})


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a\0b", "é" * 300, "", "..", "con.log"])
def test_no_name_of_a_workflow_leads_out_of_the_folder(name: str) -> None:
    found = file_name(HEADING._replace(name=name))

    assert "/" not in found
    assert "\0" not in found
    assert not found.startswith(".")
    assert found.isascii()
    assert len(found) < 120


def with_lines(path: Path, *bodies: dict[str, object]) -> Path:
    """The file with these lines behind its own."""
    before = path.read_bytes()
    first = before.count(b"\n") + 1
    path.write_bytes(before + b"".join(encode_line(first + i, body) for i, body in enumerate(bodies)))
    return path


SET = [1_000, "VariablesSet", {"n": 1}]


def test_a_line_of_an_older_version_does_not_say_its_last_event(tmp_path: Path) -> None:
    path = with_lines(
        written(tmp_path)[0],
        {"stream": ID, "seq": 9, "events": [SET, SET]},
        {"stream": ID, "seq": 11, "events": [SET]},
    )

    found = read_journal(path)

    assert found.ends == {ID: 11}
    assert [each.seq for each in history(found)] == [*range(1, 12)]


@pytest.mark.parametrize("seq", [8, 10])
def test_a_line_that_does_not_follow_in_its_stream_is_refused(tmp_path: Path, seq: int) -> None:
    path = with_lines(written(tmp_path)[0], {"stream": ID, "seq": seq, "last": seq, "events": [SET]})

    with pytest.raises(StoreError, match=f"line 6, byte .*: stream {ID}: event {seq} follows 8"):
        read_journal(path)


@pytest.mark.parametrize(
    ("events", "last", "said"),
    [
        ([SET, SET], 9, "2 events from 9 to 9"),
        ([SET], 10, "1 events"),
        ([[1, "Unheard"]], 9, "newer version"),
    ],
)
def test_events_that_are_not_as_their_line_says_are_refused_when_they_are_asked_for(
    tmp_path: Path, events: list[object], last: int, said: str
) -> None:
    path = with_lines(written(tmp_path)[0], {"stream": ID, "seq": 9, "last": last, "events": events})

    with pytest.raises(StoreError, match=f"line 6, byte .*: .*{said}"):
        history(read_journal(path))
    assert [each.seq for each in history(read_journal(path, until_damage=True))] == [*range(1, 9)]


def test_the_end_counts_where_no_line_follows_it(tmp_path: Path) -> None:
    files = JournalFolder(tmp_path)
    file = files.open_file(HEADING, {HASH: BODY})
    files.append(file, [Part(ID, events(1, 2), {}, Over(3, 1_000, 0, {"COMPLETED": 2}))])
    before = read_journal(tmp_path / file.name).over
    files.append(file, [Part(ID, events(3, 1), {})])
    files.close()

    assert before == {ID: Over(3, 1_000, 0, {"COMPLETED": 2})}
    assert read_journal(tmp_path / file.name).over == {}
