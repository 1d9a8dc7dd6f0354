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
