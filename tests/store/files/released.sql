-- What the tests have of every released schema: the checksum of its migration, by which an edit of one that was
-- released is noticed, and rows that a file of it may hold. `tests/store/released.py` makes files of it.
-- A new migration adds its line, with rows for the tables that it brings.
-- 1 initial fbb6dbe0cdb3c620dbf0ef74e26ea9a5
INSERT INTO definition (hash, crc, body)
  VALUES ('h', 4270298124, '{"name":"é"}');
INSERT INTO execution (
  execution_id, name, version, status, open, definition_hash, correlation_id, parent_id, parent_task_id,
  priority, started_at_ms, updated_at_ms, ended_at_ms, reason, input_bytes, output_bytes,
  failed_references, epoch, last_seq, input, output
)
  VALUES ('e1', 'nightly', 1, 'RUNNING', 1, 'h', '', '', '', 0, 1, 1, 0, '', 2, 2, '[]', 0, 1, '{"a":"é"}', '{}');
INSERT INTO reader_cursor (name, turn)
  VALUES ('files', 2);
INSERT INTO reader_cursor (name, turn)
  VALUES ('views', 4);
INSERT INTO segment (stream, from_seq, to_seq, open, crc, body)
  VALUES ('s', 1, 3, 1, 4250708817, x'78018b8e36d431343030d05172ad484d2e2dc9cccf0b482c2d4e4d51d251ca4f5328292dca5330548ad58936d23122a0cc08a4cc58c798803263a5d858006ece24ab');
INSERT INTO task (
  task_id, execution_id, number, seq, reference, name, type, status, state, retry_count, iteration,
  scheduled_at_ms, started_at_ms, updated_at_ms, ended_at_ms, worker_id, reason, input_bytes, output_bytes,
  superseded
)
  VALUES ('t1', 'e1', 1, 1, 'r', 'n', 'SIMPLE', 'SCHEDULED', 'READY', 0, 0, 1, 0, 1, 0, '', '', 2, 2, 0);
INSERT INTO turn (number, elapsed_ms, wall_ms, bytes, crc, body)
  VALUES (3, 3000, 3007, 43, 1834309911, '[["s",3,[["ExecutionPaused","of turn 3"]]]]');
INSERT INTO turn (number, elapsed_ms, wall_ms, bytes, crc, body)
  VALUES (4, 4000, 4007, 43, 3104278674, '[["s",4,[["ExecutionPaused","of turn 4"]]]]');
-- 2 search_and_logs a98b3ffca7d4db7fa7d30a54bca77743
INSERT INTO audit (number, at_ms, caller, role, action, object_kind, object_id, reason, outcome)
  VALUES (1, 5, 'ada', 'ADMIN', 'pause', 'execution', 'e1', '', 'done');
INSERT INTO execution_text (rowid, correlation_id, reason, input, output)
  VALUES (1, '', '', '{"a":"é"}', '{}');
INSERT INTO schedule_firing (schedule, due_ms, execution_id, fired_ms, status, reason)
  VALUES ('nightly', 5, 'e1', 6, 'started', '');
INSERT INTO task_log (task_id, number, execution_id, at_ms, level, line, total_bytes)
  VALUES ('t1', 1, 'e1', 5, 'INFO', 'a line', 6);
DELETE FROM text_pending;
INSERT INTO text_document (number, execution_id)
  VALUES (1, 'e1');
-- 3 resource_log 24d36f64f46b9502f76f3a31a488c525
INSERT INTO resource_log (number, resource, at_ms, level, line, execution_id, task_id)
  VALUES (1, 'emr', 5, 'INFO', 'instance ready 1', 'e1', 't1');
-- 4 task_io 012f0b29241dcf6a4b82e82399aa624a
INSERT INTO task_io (task_id, direction, row_count, byte_count, execution_id)
  VALUES ('t1', 'out', 3, 40, 'e1');
-- 5 quarantine ae43077f337b8346cb1d2cba75e214a6
INSERT INTO quarantine (stream, kind, reason, since_ms)
  VALUES ('e9', 'crash', 'the process died 3 times while it was at it', 7);
-- 6 audit_retention f3bd61846fa5c909fad978fa47ccdbf3
-- 7 installation_drawn 58aacc17aa7d28ddc13c27abdf595ae3
-- 8 restored b2682631b199cb02ffe98e9e9950496c
UPDATE installation SET restored_from_ms = 5, restored_ms = 9;
