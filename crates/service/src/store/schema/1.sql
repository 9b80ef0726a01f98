CREATE TABLE clients (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    hash             TEXT NOT NULL UNIQUE,
    registration_id  TEXT UNIQUE,
    kind             TEXT,
    client_id        TEXT NOT NULL,
    host             TEXT NOT NULL,
    tags             TEXT NOT NULL,
    -- The tags as an object of texts; NULL where they are not a JSON object.
    tags_json        TEXT,
    -- RegisterClient, masked; StartClient as it was answered; ClientConfigUpdate, masked.
    registration     TEXT NOT NULL,
    answer           TEXT NOT NULL,
    applied          TEXT,
    mode             TEXT NOT NULL,
    registered_ms    INTEGER NOT NULL,
    seen_ms          INTEGER NOT NULL,
    configured_ms    INTEGER,
    reported_ms      INTEGER,
    reports          INTEGER NOT NULL DEFAULT 0,
    errors           INTEGER NOT NULL DEFAULT 0,
    last_update      INTEGER NOT NULL DEFAULT 0,
    gone_ms          INTEGER
);
CREATE INDEX clients_alike ON clients (client_id, host, tags);
CREATE INDEX clients_seen ON clients (seen_ms);

CREATE TABLE topics (
    client      INTEGER NOT NULL REFERENCES clients ON DELETE CASCADE,
    role        TEXT NOT NULL,
    topic       TEXT NOT NULL,
    partitions  TEXT NOT NULL,
    PRIMARY KEY (client, role, topic)
) WITHOUT ROWID;

CREATE TABLE errors (
    id      INTEGER PRIMARY KEY,
    client  INTEGER NOT NULL REFERENCES clients ON DELETE CASCADE,
    at_ms   INTEGER NOT NULL,
    error   TEXT NOT NULL
);
CREATE INDEX errors_of ON errors (client, id);

CREATE TABLE updates (
    client    INTEGER NOT NULL REFERENCES clients ON DELETE CASCADE,
    sequence  INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (client, sequence)
) WITHOUT ROWID;
