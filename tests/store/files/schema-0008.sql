-- A database as schema 8 wrote it; opened by every later version. Never edited.
PRAGMA application_id = 1095126103;
PRAGMA user_version = 8;
BEGIN TRANSACTION;
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
INSERT INTO "audit" VALUES(1,5,'ada','ADMIN','pause','execution','e1','','done');
CREATE TABLE definition (
  hash TEXT PRIMARY KEY,        -- first 32 hexadecimal digits of the SHA-256 of its canonical JSON
  crc INTEGER NOT NULL,         -- CRC-32 of "hash:" and the body's bytes
  body TEXT NOT NULL            -- canonical JSON
);
INSERT INTO "definition" VALUES('h',4270298124,'{"name":"é"}');
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
, created_by TEXT NOT NULL DEFAULT '', event TEXT NOT NULL DEFAULT '', failed_names TEXT NOT NULL DEFAULT '[]', task_to_domain TEXT NOT NULL DEFAULT '{}', idempotency_key TEXT NOT NULL DEFAULT '', request_hash TEXT NOT NULL DEFAULT '');
INSERT INTO "execution" VALUES('e1','nightly',1,'RUNNING',1,'h','','','',0,1,1,0,'',2,2,'[]',0,1,'{"a":"é"}','{}','','','[]','{}','','');
CREATE VIRTUAL TABLE execution_text USING fts5(
  correlation_id, reason, input, output, columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO "execution_text" VALUES('','','{"a":"é"}','{}');
CREATE TABLE installation (
  one INTEGER PRIMARY KEY CHECK (one = 1), -- always 1: there is one row
  installation_id TEXT NOT NULL,           -- hashed into the tokens given to outside services; a clone gets its own
  readable_since INTEGER NOT NULL,         -- lowest schema number whose readers understand this file
  clean INTEGER NOT NULL                   -- 1 after an orderly stop, 0 while open and after a crash
, since_ms INTEGER NOT NULL DEFAULT 0, restored_from_ms INTEGER NOT NULL DEFAULT 0, restored_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO "installation" VALUES(1,'inst-1',1,1,0,5,9);
CREATE TABLE migration (
  number INTEGER PRIMARY KEY,   -- NNNN of the file; the highest equals PRAGMA user_version
  name TEXT NOT NULL,           -- rest of the file's name
  checksum TEXT NOT NULL,       -- SHA-256 of the file, 32 hexadecimal digits
  applied_at_ms INTEGER NOT NULL -- wall clock, whole seconds
);
INSERT INTO "migration" VALUES(1,'initial','fbb6dbe0cdb3c620dbf0ef74e26ea9a5',1795224450000);
INSERT INTO "migration" VALUES(2,'search_and_logs','a98b3ffca7d4db7fa7d30a54bca77743',1795224450000);
INSERT INTO "migration" VALUES(3,'resource_log','24d36f64f46b9502f76f3a31a488c525',1795224450000);
INSERT INTO "migration" VALUES(4,'task_io','012f0b29241dcf6a4b82e82399aa624a',1795249000000);
INSERT INTO "migration" VALUES(5,'quarantine','ae43077f337b8346cb1d2cba75e214a6',1795255380000);
INSERT INTO "migration" VALUES(6,'audit_retention','f3bd61846fa5c909fad978fa47ccdbf3',1795256592000);
INSERT INTO "migration" VALUES(7,'installation_drawn','58aacc17aa7d28ddc13c27abdf595ae3',1795257000000);
INSERT INTO "migration" VALUES(8,'restored','b2682631b199cb02ffe98e9e9950496c',1795259000000);
CREATE TABLE quarantine (
  stream TEXT PRIMARY KEY,      -- name of the stream, an execution id
  kind TEXT NOT NULL,           -- why it is held: crash
  reason TEXT NOT NULL,         -- the same for people
  since_ms INTEGER NOT NULL     -- wall clock
) WITHOUT ROWID;
INSERT INTO "quarantine" VALUES('e9','crash','the process died 3 times while it was at it',7);
CREATE TABLE reader_cursor (
  name TEXT PRIMARY KEY,        -- 'views', or the name of a listener
  turn INTEGER NOT NULL         -- number of the last turn it has dealt with
) WITHOUT ROWID;
INSERT INTO "reader_cursor" VALUES('files',2);
INSERT INTO "reader_cursor" VALUES('views',4);
CREATE TABLE removal (
  stream TEXT PRIMARY KEY, -- name of the stream, an execution id
  turn INTEGER NOT NULL    -- number of the turn that removed it
) WITHOUT ROWID;
CREATE TABLE schedule_firing (
  schedule TEXT NOT NULL,       -- name of the schedule
  due_ms INTEGER NOT NULL,      -- when it was to fire
  execution_id TEXT NOT NULL,   -- what it started, '' if nothing
  fired_ms INTEGER NOT NULL,    -- when it did
  status TEXT NOT NULL,         -- what came of it
  reason TEXT NOT NULL,         -- why nothing was started, '' if something was
  PRIMARY KEY (schedule, due_ms)
) WITHOUT ROWID;
INSERT INTO "schedule_firing" VALUES('nightly',5,'e1',6,'started','');
CREATE TABLE segment (
  stream TEXT NOT NULL,         -- name of the stream, such as the execution id
  from_seq INTEGER NOT NULL,    -- number of the first event in it; 1, or the previous to_seq + 1
  to_seq INTEGER NOT NULL,      -- number of the last event in it
  open INTEGER NOT NULL,        -- 1 on the newest segment of a stream that lives on, else 0
  crc INTEGER NOT NULL,         -- CRC-32 of "stream:from_seq:to_seq:" and the body's bytes
  body BLOB NOT NULL,           -- zlib of [[seq, at_ms, kind, field, …], …]; at_ms is the elapsed clock
  PRIMARY KEY (stream, from_seq)
);
INSERT INTO "segment" VALUES('s',1,3,1,4250708817,X'78018B8E36D431343030D05172AD484D2E2DC9CCCF0B482C2D4E4D51D251CA4F5328292DCA5330548AD58936D23122A0CC08A4CC58C798803263A5D858006ECE24AB');
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
, domain TEXT NOT NULL DEFAULT '');
INSERT INTO "task" VALUES('t1','e1',1,1,'r','n','SIMPLE','SCHEDULED','READY',0,0,1,0,1,0,'','',2,2,0,'');
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
INSERT INTO "task_log" VALUES('t1',1,'e1',5,'INFO','a line',6);
CREATE TABLE text_document (
  number INTEGER PRIMARY KEY,       -- rowid in `execution_text`
  execution_id TEXT NOT NULL UNIQUE -- whose texts it has
);
INSERT INTO "text_document" VALUES(1,'e1');
CREATE TABLE text_pending (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which the texts changed
  execution_id TEXT NOT NULL UNIQUE         -- whose texts changed
);
CREATE TABLE turn (
  number INTEGER PRIMARY KEY,   -- gap-free from 1; the last row is never deleted
  elapsed_ms INTEGER NOT NULL,  -- elapsed clock: never goes backwards, the time of every event in it
  wall_ms INTEGER NOT NULL,     -- wall clock of the same moment
  bytes INTEGER NOT NULL,       -- size of the body, so that the log is measured without reading it
  crc INTEGER NOT NULL,         -- CRC-32 of "number:elapsed_ms:wall_ms:" and the body's bytes
  body TEXT NOT NULL            -- [[stream, first_seq, [[kind, field, …], …]], …]
);
INSERT INTO "turn" VALUES(3,3000,3007,43,1834309911,'[["s",3,[["ExecutionPaused","of turn 3"]]]]');
INSERT INTO "turn" VALUES(4,4000,4007,43,3104278674,'[["s",4,[["ExecutionPaused","of turn 4"]]]]');
CREATE INDEX segment_open ON segment (stream) WHERE open = 1;
CREATE INDEX execution_started ON execution (started_at_ms);
CREATE INDEX execution_name ON execution (name, started_at_ms);
CREATE INDEX execution_correlation ON execution (correlation_id) WHERE correlation_id <> '';
CREATE INDEX execution_parent ON execution (parent_id) WHERE parent_id <> '';
CREATE INDEX execution_open ON execution (started_at_ms) WHERE open = 1;
CREATE INDEX task_execution ON task (execution_id);
CREATE INDEX execution_status ON execution (status, started_at_ms);
CREATE INDEX execution_idempotency ON execution (name, idempotency_key) WHERE idempotency_key <> '';
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
CREATE INDEX task_log_execution ON task_log (execution_id);
CREATE INDEX audit_object ON audit (object_id, number);
CREATE INDEX audit_kind ON audit (object_kind, number);
CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number < old.number)
  OR NOT EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number > old.number)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only: but the oldest entries of a kind, none goes');
END;
CREATE TABLE resource_log (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of writing, never reused
  resource TEXT NOT NULL,       -- name of the resource
  at_ms INTEGER NOT NULL,       -- wall clock
  level TEXT NOT NULL,          -- INFO, WARN, …
  line TEXT NOT NULL,           -- the text
  execution_id TEXT NOT NULL,   -- execution that it was for, '' if none
  task_id TEXT NOT NULL         -- task that it was for, '' if none
);
CREATE INDEX resource_log_resource ON resource_log (resource, at_ms);
CREATE INDEX resource_log_execution ON resource_log (execution_id) WHERE execution_id <> '';
CREATE INDEX resource_log_time ON resource_log (at_ms);
CREATE INDEX task_log_time ON task_log (at_ms);
INSERT INTO "resource_log" VALUES(1,'emr',5,'INFO','instance ready 1','e1','t1');
CREATE TABLE task_io (
  task_id TEXT NOT NULL,        -- whose data it is
  direction TEXT NOT NULL,      -- in or out
  row_count INTEGER NOT NULL,   -- rows told of, summed up
  byte_count INTEGER NOT NULL,  -- bytes told of, summed up
  execution_id TEXT NOT NULL,   -- execution the task belongs to, '' if it was not known
  PRIMARY KEY (task_id, direction)
) WITHOUT ROWID;
CREATE INDEX task_io_execution ON task_io (execution_id);
INSERT INTO "task_io" VALUES('t1','out',3,40,'e1');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('text_pending',1);
INSERT INTO "sqlite_sequence" VALUES('audit',1);
INSERT INTO "sqlite_sequence" VALUES('resource_log',1);
COMMIT;
