-- The schema of an asyncflow database, as the migrations leave it (a test compares the two).
-- Times are UTC milliseconds since 1970, 0 where there is none. JSON is UTF-8 text.
-- Tables `turn`, `segment` and `definition` are the truth and belong to the engine alone.
-- Tables `execution` and `task` are views: anyone may read them with plain SQL, at any time;
-- they lag behind the truth by as much as `reader_cursor` says and can be rebuilt from it.
-- Columns added by a migration are empty for executions of before, until `asyncflow db rebuild`.
-- Tables `task_log`, `resource_log`, `audit` and `schedule_firing` stand beside the journal: nothing is
-- decided by them.

-- One row: which installation this file is, and how the last stop was. Writer: start and stop.
CREATE TABLE installation (
  one INTEGER PRIMARY KEY CHECK (one = 1), -- always 1: there is one row
  installation_id TEXT NOT NULL,           -- hashed into the tokens given to outside services; a clone gets its own
  readable_since INTEGER NOT NULL,         -- lowest schema number whose readers understand this file
  clean INTEGER NOT NULL,                  -- 1 after an orderly stop, 0 while open and after a crash
  since_ms INTEGER NOT NULL DEFAULT 0,     -- elapsed clock: tokens of what was begun before are of no installation
  restored_from_ms INTEGER NOT NULL DEFAULT 0, -- of a backup: elapsed clock of its last turn, 0 if it is none
  restored_ms INTEGER NOT NULL DEFAULT 0   -- elapsed clock when a backup was first opened, -1 until it is
);

-- Which migrations were applied. Writer: `db migrate` and every start.
CREATE TABLE migration (
  number INTEGER PRIMARY KEY,   -- NNNN of the file; the highest equals PRAGMA user_version
  name TEXT NOT NULL,           -- rest of the file's name
  checksum TEXT NOT NULL,       -- SHA-256 of the file, 32 hexadecimal digits
  applied_at_ms INTEGER NOT NULL -- wall clock, whole seconds
);

-- The journal's head: one row per commit. Writer: every turn; rows go once all their streams are segmented.
CREATE TABLE turn (
  number INTEGER PRIMARY KEY,   -- gap-free from 1; the last row is never deleted
  elapsed_ms INTEGER NOT NULL,  -- elapsed clock: never goes backwards, the time of every event in it
  wall_ms INTEGER NOT NULL,     -- wall clock of the same moment
  bytes INTEGER NOT NULL,       -- size of the body, so that the log is measured without reading it
  crc INTEGER NOT NULL,         -- CRC-32 of "number:elapsed_ms:wall_ms:" and the body's bytes
  body TEXT NOT NULL            -- [[stream, first_seq, [[kind, field, …], …]], …]
);

-- The journal's body: history by stream. Writer: the engine when a stream ends, is quiet or long.
CREATE TABLE segment (
  stream TEXT NOT NULL,         -- name of the stream, such as the execution id
  from_seq INTEGER NOT NULL,    -- number of the first event in it; 1, or the previous to_seq + 1
  to_seq INTEGER NOT NULL,      -- number of the last event in it
  open INTEGER NOT NULL,        -- 1 on the newest segment of a stream that lives on, else 0
  crc INTEGER NOT NULL,         -- CRC-32 of "stream:from_seq:to_seq:" and the body's bytes
  body BLOB NOT NULL,           -- zlib of [[seq, at_ms, kind, field, …], …]; at_ms is the elapsed clock
  PRIMARY KEY (stream, from_seq)
);

-- Streams a start has to load, without a look at the others (10,000 of 1,000,000 in 0.05 s).
CREATE INDEX segment_open ON segment (stream) WHERE open = 1;

-- Definitions by content, each stored once. Writer: the turn that names it first.
CREATE TABLE definition (
  hash TEXT PRIMARY KEY,        -- first 32 hexadecimal digits of the SHA-256 of its canonical JSON
  crc INTEGER NOT NULL,         -- CRC-32 of "hash:" and the body's bytes
  body TEXT NOT NULL            -- canonical JSON
);

-- How far each reader of the journal has come. Writer: with what the reader itself stores.
CREATE TABLE reader_cursor (
  name TEXT PRIMARY KEY,        -- 'views', or the name of a listener
  turn INTEGER NOT NULL         -- number of the last turn it has dealt with
) WITHOUT ROWID;

-- View: one row per execution. Writer: the engine, in bulk, when idle, at most 200 ms behind.
CREATE TABLE execution (
  execution_id TEXT PRIMARY KEY,  -- UUID
  name TEXT NOT NULL,             -- name of the workflow definition
  version INTEGER NOT NULL,       -- its version
  status TEXT NOT NULL,           -- Conductor's status: RUNNING, PAUSED, COMPLETED, FAILED, TIMED_OUT, TERMINATED
  open INTEGER NOT NULL,          -- 1 until it has ended and nothing it started is left to settle
  definition_hash TEXT NOT NULL,  -- key into `definition`
  correlation_id TEXT NOT NULL,   -- the caller's own id, '' if none
  parent_id TEXT NOT NULL,        -- execution that started it as a sub-workflow, '' if none
  parent_task_id TEXT NOT NULL,   -- the parent's task that stands for it, '' if none
  priority INTEGER NOT NULL,      -- 0 (lowest) to 99
  started_at_ms INTEGER NOT NULL, -- wall clock of the start
  updated_at_ms INTEGER NOT NULL, -- wall clock of the last change
  ended_at_ms INTEGER NOT NULL,   -- wall clock of the end, 0 while it runs
  reason TEXT NOT NULL,           -- reason of incompletion, '' if none
  input_bytes INTEGER NOT NULL,   -- size of the input as JSON
  output_bytes INTEGER NOT NULL,  -- size of the output as JSON
  failed_references TEXT NOT NULL, -- JSON array of the references of failed tasks
  epoch INTEGER NOT NULL,         -- resets so far (restart, rerun, retry, revival)
  last_seq INTEGER NOT NULL,      -- number of the newest event seen
  input TEXT NOT NULL,            -- JSON object
  output TEXT NOT NULL,           -- JSON object
  created_by TEXT NOT NULL DEFAULT '',      -- who started it, '' if nobody said
  event TEXT NOT NULL DEFAULT '',           -- event that started it, '' if none did
  failed_names TEXT NOT NULL DEFAULT '[]',  -- JSON array of the names of failed tasks
  task_to_domain TEXT NOT NULL DEFAULT '{}', -- JSON object: task name to domain
  idempotency_key TEXT NOT NULL DEFAULT '', -- the caller's own key of the start, '' if none
  request_hash TEXT NOT NULL DEFAULT ''     -- hash of the request that came with the key, '' if none
);

-- Lists are shown newest start first.
CREATE INDEX execution_started ON execution (started_at_ms);
-- "All executions of this workflow", newest first.
CREATE INDEX execution_name ON execution (name, started_at_ms);
-- Conductor's look-up by correlation id; costs nothing where none is given.
CREATE INDEX execution_correlation ON execution (correlation_id) WHERE correlation_id <> '';
-- Children of a parent; costs nothing for executions without one.
CREATE INDEX execution_parent ON execution (parent_id) WHERE parent_id <> '';
-- "All that failed", newest first.
CREATE INDEX execution_status ON execution (status, started_at_ms);
-- What a key started; costs nothing where none is given.
CREATE INDEX execution_idempotency ON execution (name, idempotency_key) WHERE idempotency_key <> '';
-- What is alive, among any number of ended ones.
CREATE INDEX execution_open ON execution (started_at_ms) WHERE open = 1;

-- View: one row per attempt of a task. Writer: as `execution`, in the same transaction.
CREATE TABLE task (
  task_id TEXT PRIMARY KEY,        -- UUID, the execution's with `number` added to its last 48 bits
  execution_id TEXT NOT NULL,      -- execution it belongs to
  number INTEGER NOT NULL,         -- counts all task records the execution ever made, from 1
  seq INTEGER NOT NULL,            -- position in Conductor's task list, from 1
  reference TEXT NOT NULL,         -- reference name in the definition, with its iteration suffix
  name TEXT NOT NULL,              -- name of the task definition
  type TEXT NOT NULL,              -- task type: SIMPLE, HTTP, FORK_JOIN, …
  status TEXT NOT NULL,            -- Conductor's status
  state TEXT NOT NULL,             -- the true state, such as SUBMITTED or NEEDS_DECISION
  retry_count INTEGER NOT NULL,    -- retries before this attempt
  iteration INTEGER NOT NULL,      -- loop iteration from 1, 0 outside loops
  scheduled_at_ms INTEGER NOT NULL, -- wall clock when it became wanted
  started_at_ms INTEGER NOT NULL,  -- wall clock when it began
  updated_at_ms INTEGER NOT NULL,  -- wall clock of the last change
  ended_at_ms INTEGER NOT NULL,    -- wall clock of its end, 0 while it is open
  worker_id TEXT NOT NULL,         -- who performs it, '' if nobody yet
  reason TEXT NOT NULL,            -- reason of incompletion, '' if none
  input_bytes INTEGER NOT NULL,    -- size of its input as JSON
  output_bytes INTEGER NOT NULL,   -- size of its output as JSON
  superseded INTEGER NOT NULL,     -- 1 once a later attempt took its place
  domain TEXT NOT NULL DEFAULT ''  -- domain its workers are of, '' if none
);

-- Tasks of one execution; the only index, as this table takes the most writes (0.85 µs a row each).
CREATE INDEX task_execution ON task (execution_id);

-- Executions whose texts are to be indexed anew. Writer: the triggers below, and the pass over it.
CREATE TABLE text_pending (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which the texts changed
  execution_id TEXT NOT NULL UNIQUE         -- whose texts changed
);

-- Which document of the full-text index is whose. Writer: that pass, at most a second behind the view.
CREATE TABLE text_document (
  number INTEGER PRIMARY KEY,       -- rowid in `execution_text`
  execution_id TEXT NOT NULL UNIQUE -- whose texts it has
);

-- Full-text index of executions: `… WHERE execution_text MATCH ?` gives rowids for `text_document`.
-- `input` and `output` are JSON with its escapes blanked, the first 100,000 characters of each.
CREATE VIRTUAL TABLE execution_text USING fts5(
  correlation_id, reason, input, output, columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);

-- A text that is new, or another one, is to be indexed; nothing is paid where there is none.
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

-- Executions deleted for good, for as long as turns that name them are held. Writer: the turn that deletes.
CREATE TABLE removal (
  stream TEXT PRIMARY KEY, -- name of the stream, an execution id
  turn INTEGER NOT NULL    -- number of the turn that removed it
) WITHOUT ROWID;

-- Executions that a start does not touch until they are released. Writer: the guard at the start, releases.
CREATE TABLE quarantine (
  stream TEXT PRIMARY KEY,      -- name of the stream, an execution id
  kind TEXT NOT NULL,           -- why it is held: crash
  reason TEXT NOT NULL,         -- the same for people
  since_ms INTEGER NOT NULL     -- wall clock
) WITHOUT ROWID;

-- Lines logged by tasks and workers. Writer: the engine, in bulk; bounded per task.
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
-- Logs go with their execution.
CREATE INDEX task_log_execution ON task_log (execution_id);
-- "What was logged in this hour".
CREATE INDEX task_log_time ON task_log (at_ms);

-- What became of resources and was done with them; the last million lines. Writer: the engine, in bulk.
CREATE TABLE resource_log (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of writing, never reused
  resource TEXT NOT NULL,       -- name of the resource
  at_ms INTEGER NOT NULL,       -- wall clock
  level TEXT NOT NULL,          -- INFO, WARN, …
  line TEXT NOT NULL,           -- the text
  execution_id TEXT NOT NULL,   -- execution that it was for, '' if none
  task_id TEXT NOT NULL         -- task that it was for, '' if none
);
-- "Who destroyed this cluster, when, and why".
CREATE INDEX resource_log_resource ON resource_log (resource, at_ms);
CREATE INDEX resource_log_execution ON resource_log (execution_id) WHERE execution_id <> '';
CREATE INDEX resource_log_time ON resource_log (at_ms);

-- What tasks told of the data they read and wrote, beyond input and output. Writer: the engine, in bulk.
CREATE TABLE task_io (
  task_id TEXT NOT NULL,        -- whose data it is
  direction TEXT NOT NULL,      -- in or out
  row_count INTEGER NOT NULL,   -- rows told of, summed up
  byte_count INTEGER NOT NULL,  -- bytes told of, summed up
  execution_id TEXT NOT NULL,   -- execution the task belongs to, '' if it was not known
  PRIMARY KEY (task_id, direction)
) WITHOUT ROWID;
-- They go with their execution.
CREATE INDEX task_io_execution ON task_io (execution_id);

-- Who asked for what, and what came of it; append-only, without secret values. Writer: the surfaces.
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
-- "All that was done to this".
CREATE INDEX audit_object ON audit (object_id, number);
-- What was done to objects of a kind, and which entries of it are the oldest.
CREATE INDEX audit_kind ON audit (object_kind, number);

-- Nobody alters an entry. Only the oldest of a kind go, when more are there than are kept; one always stays.
CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number < old.number)
  OR NOT EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number > old.number)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only: but the oldest entries of a kind, none goes');
END;

-- When schedules fired, and what came of it. Writer: the scheduler.
CREATE TABLE schedule_firing (
  schedule TEXT NOT NULL,       -- name of the schedule
  due_ms INTEGER NOT NULL,      -- when it was to fire
  execution_id TEXT NOT NULL,   -- what it started, '' if nothing
  fired_ms INTEGER NOT NULL,    -- when it did
  status TEXT NOT NULL,         -- what came of it
  reason TEXT NOT NULL,         -- why nothing was started, '' if something was
  PRIMARY KEY (schedule, due_ms)
) WITHOUT ROWID;
