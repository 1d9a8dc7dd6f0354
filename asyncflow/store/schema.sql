-- The schema of an asyncflow database, as the migrations leave it (a test compares the two).
-- Times are UTC milliseconds since 1970, 0 where there is none. JSON is UTF-8 text.
-- Tables `turn`, `segment` and `definition` are the truth and belong to the engine alone.
-- Tables `execution` and `task` are views: anyone may read them with plain SQL, at any time;
-- they lag behind the truth by as much as `reader_cursor` says and can be rebuilt from it.

-- One row: which installation this file is, and how the last stop was. Writer: start and stop.
CREATE TABLE installation (
  one INTEGER PRIMARY KEY CHECK (one = 1), -- always 1: there is one row
  installation_id TEXT NOT NULL,           -- hashed into the tokens given to outside services; a clone gets its own
  readable_since INTEGER NOT NULL,         -- lowest schema number whose readers understand this file
  clean INTEGER NOT NULL                   -- 1 after an orderly stop, 0 while open and after a crash
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
  output TEXT NOT NULL            -- JSON object; last, as the large columns cost what stands behind them
);

-- Lists are shown newest start first.
CREATE INDEX execution_started ON execution (started_at_ms);
-- "All executions of this workflow", newest first.
CREATE INDEX execution_name ON execution (name, started_at_ms);
-- Conductor's look-up by correlation id; costs nothing where none is given.
CREATE INDEX execution_correlation ON execution (correlation_id) WHERE correlation_id <> '';
-- Children of a parent; costs nothing for executions without one.
CREATE INDEX execution_parent ON execution (parent_id) WHERE parent_id <> '';
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
  superseded INTEGER NOT NULL      -- 1 once a later attempt took its place
);

-- Tasks of one execution; the only index, as this table takes the most writes (0.85 µs a row each).
CREATE INDEX task_execution ON task (execution_id);
