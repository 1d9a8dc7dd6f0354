ALTER TABLE installation ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
UPDATE installation SET
  installation_id = lower(hex(randomblob(16))),
  since_ms = max(
    CAST(strftime('%s', 'now') AS INTEGER) * 1000 + 1000,
    coalesce((SELECT max(elapsed_ms) FROM turn), 0) + 1
  )
WHERE installation_id = '';
