CREATE TABLE IF NOT EXISTS conduit_topics (
    name bytea PRIMARY KEY,
    epoch bigint NOT NULL,
    last bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS conduit_topics_by_expiry ON conduit_topics (expires_at);
CREATE TABLE IF NOT EXISTS conduit_messages (
    topic bytea NOT NULL,
    epoch bigint NOT NULL,
    number bigint NOT NULL,
    -- Two attempts to publish one message have the same.
    token text NOT NULL UNIQUE,
    published_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (topic, epoch, number)
);
CREATE INDEX IF NOT EXISTS conduit_messages_by_expiry ON conduit_messages (expires_at);
CREATE TABLE IF NOT EXISTS conduit_processes (
    process bigint PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS conduit_members (
    topic bytea NOT NULL,
    process bigint NOT NULL,
    member bytea NOT NULL,
    PRIMARY KEY (topic, process, member)
);
CREATE INDEX IF NOT EXISTS conduit_members_by_process ON conduit_members (process);
