ALTER TABLE execution ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN failed_names TEXT NOT NULL DEFAULT '[]';
ALTER TABLE execution ADD COLUMN task_to_domain TEXT NOT NULL DEFAULT '{}';
ALTER TABLE execution ADD COLUMN idempotency_key TEXT NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN request_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN domain TEXT NOT NULL DEFAULT '';
CREATE INDEX execution_status ON execution (status, started_at_ms);
CREATE INDEX execution_idempotency ON execution (name, idempotency_key) WHERE idempotency_key <> '';

CREATE TABLE text_pending (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which the texts changed
  execution_id TEXT NOT NULL UNIQUE         -- whose texts changed
);
CREATE TABLE text_document (
  number INTEGER PRIMARY KEY,       -- rowid in `execution_text`
  execution_id TEXT NOT NULL UNIQUE -- whose texts it has
);
CREATE VIRTUAL TABLE execution_text USING fts5(
  correlation_id, reason, input, output, columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER execution_text_new AFTER INSERT ON execution
WHEN new.input <> '{}' OR new.output <> '{}' OR new.reason <> '' OR new.correlation_id <> ''
BEGIN
  INSERT INTO text_pending (execution_id) VALUES (new.execution_id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER execution_text_changed AFTER UPDATE OF input, output, reason, correlation_id ON execution
WHEN new.input <> old.input OR new.output <> old.output OR new.reason <> old.reason
  OR new.correlation_id <> old.correlation_id
BEGIN
  INSERT INTO text_pending (execution_id) VALUES (new.execution_id) ON CONFLICT DO NOTHING;
END;
INSERT INTO text_pending (execution_id) SELECT execution_id FROM execution
WHERE input <> '{}' OR output <> '{}' OR reason <> '' OR correlation_id <> '' ORDER BY started_at_ms;

CREATE TABLE removal (
  stream TEXT PRIMARY KEY, -- name of the stream, an execution id
  turn INTEGER NOT NULL    -- number of the turn that removed it
) WITHOUT ROWID;

CREATE TABLE task_log (
  task_id TEXT NOT NULL,        -- whose log it is
  number INTEGER NOT NULL,      -- line of that log, from 1
  execution_id TEXT NOT NULL,   -- execution the task belongs to, '' if it was not known
  at_ms INTEGER NOT NULL,       -- wall clock
  level TEXT NOT NULL,          -- INFO, WARN, …
  line TEXT NOT NULL,           -- the text
  total_bytes INTEGER NOT NULL, -- size of the log up to and with this line
  PRIMARY KEY (task_id, number)
) WITHOUT ROWID;
CREATE INDEX task_log_execution ON task_log (execution_id);

CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of writing, never reused
  at_ms INTEGER NOT NULL,     -- wall clock
  caller TEXT NOT NULL,       -- name of the key or user, '' if nobody was known
  role TEXT NOT NULL,         -- role the caller had
  action TEXT NOT NULL,       -- what was asked, such as terminate
  object_kind TEXT NOT NULL,  -- kind of what it was asked of: execution, workflow, schedule, …
  object_id TEXT NOT NULL,    -- its id or name
  reason TEXT NOT NULL,       -- reason given, '' if none
  outcome TEXT NOT NULL       -- done, or the code of the error
);
CREATE INDEX audit_object ON audit (object_id, number);
CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE schedule_firing (
  schedule TEXT NOT NULL,       -- name of the schedule
  due_ms INTEGER NOT NULL,      -- when it was to fire
  execution_id TEXT NOT NULL,   -- what it started, '' if nothing
  fired_ms INTEGER NOT NULL,    -- when it did
  status TEXT NOT NULL,         -- what came of it
  reason TEXT NOT NULL,         -- why nothing was started, '' if something was
  PRIMARY KEY (schedule, due_ms)
) WITHOUT ROWID;
