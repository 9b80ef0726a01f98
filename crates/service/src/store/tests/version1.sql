-- A database of version 1, as the service of then made it, and three clients in it.
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

PRAGMA application_id = 0x53535452;
PRAGMA user_version = 1;

INSERT INTO clients (hash, kind, client_id, host, tags, tags_json, registration, answer, applied,
                     mode, registered_ms, seen_ms, configured_ms, reported_ms, reports, errors)
VALUES
    ('5fd9c4a2b1e84d3c9a7f60e1d2c3b4a5', 'producer', 'orders', 'shop-1', '{"team":"pay"}',
     '{"team":"pay"}',
     '{"language":"c","version":"0.1.0","learning_factor":0,"config":{"client.id":"orders"},"reduction_enabled":false,"connection_id":0,"tags":"{\"team\":\"pay\"}","client_ip":"192.0.2.7","client_host":"shop-1","type":"producer","pid":4711}',
     '{"start":true,"optimized_configuration":{"linger.ms":100},"mode":"active"}',
     '{"client_hash":"","config":{"linger.ms":"100"},"changes":[{"key":"linger.ms","old":"5","new":"100","reason":"advice"}],"refusals":[],"mode":"active"}',
     'active', 1790000000000, 1790000001000, 1790000000500, 1790000001000, 3, 1),
    ('00112233445566778899aabbccddeeff', 'producer', 'orders', 'shop-2', '', NULL,
     '{"language":"c","version":"0.1.0","learning_factor":0,"config":{"client.id":"orders"},"reduction_enabled":false,"connection_id":0,"tags":"","client_ip":"","client_host":"shop-2","type":"producer"}',
     '{"start":true,"optimized_configuration":{"linger.ms":100},"mode":"observe"}',
     '{"client_hash":"","config":{},"changes":[{"key":"linger.ms","old":"5","new":"100","reason":"advice"}],"refusals":[],"mode":"observe"}',
     'observe', 1790000000000, 1790000001000, 1790000000500, NULL, 0, 0),
    ('ffeeddccbbaa99887766554433221100', NULL, '', '', '', NULL, '{"language":"java"}',
     '{"start":false,"error":"not you"}', NULL, 'active', 1790000000000, 1790000001000, NULL, NULL,
     0, 0);
INSERT INTO topics VALUES (1, 'producer', 'orders', '[0,1,2]');
INSERT INTO errors (client, at_ms, error) VALUES (1, 1790000000700, 'it broke');
