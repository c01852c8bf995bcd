CREATE TABLE IF NOT EXISTS conduit_store (
    key bytea PRIMARY KEY,
    value bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Only this column has an index for the removal of rows: an update within the hour changes no index.
    expiry_hour timestamp NOT NULL GENERATED ALWAYS AS (date_trunc('hour', expires_at AT TIME ZONE 'UTC')) STORED
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS conduit_store_by_expiry ON conduit_store (expiry_hour);
