CREATE TABLE quarantine (
  stream TEXT PRIMARY KEY,      -- name of the stream, an execution id
  kind TEXT NOT NULL,           -- why it is held: crash
  reason TEXT NOT NULL,         -- the same for people
  since_ms INTEGER NOT NULL     -- wall clock
) WITHOUT ROWID;
