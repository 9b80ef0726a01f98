-- What clients measure.

-- The number of the newest report that was taken, bit for bit: it may use all 64 bits.
ALTER TABLE clients ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
-- 1 where the client runs without any change, 0 where something was changed, NULL where it has not
-- said.
ALTER TABLE clients ADD COLUMN is_stock INTEGER;
-- 1 where masking has hidden something that rules look at: the advice cannot be worked out again.
ALTER TABLE clients ADD COLUMN is_veiled INTEGER NOT NULL DEFAULT 0;
UPDATE clients
SET is_stock = (json_array_length(applied, '$.changes') = 0
                OR json_extract(applied, '$.mode') = 'observe')
WHERE applied IS NOT NULL;

-- How often the client was last told to report.
ALTER TABLE clients ADD COLUMN interval_ms INTEGER NOT NULL DEFAULT 600000;

-- Holds all that sums and filters ask of every client: in its row, it comes after large texts.
DROP INDEX clients_seen;
CREATE INDEX clients_seen ON clients (seen_ms, gone_ms, interval_ms, kind, is_stock);
-- The brokers, as configured. The second name is an alias of the first.
ALTER TABLE clients ADD COLUMN brokers TEXT AS (
    coalesce(
        nullif(registration ->> '$.config."metadata.broker.list"', ''),
        registration ->> '$.config."bootstrap.servers"'
    )
) VIRTUAL;
-- Names the application that a client is a run of: one name on two clusters is two applications, and
-- who has the default `client.id` is the same on its own host alone. NULL where the client did not
-- say of which kind it is, and where it cannot be told from others: the library masks what is too
-- long for it, and half a list of brokers may be that of two clusters.
ALTER TABLE clients ADD COLUMN application TEXT AS (
    CASE WHEN kind IS NOT NULL
        AND client_id <> '[masked]'
        AND (brokers IS NULL OR (brokers <> '[masked]' AND octet_length(brokers) <= 16384))
    THEN json_array(
        kind, client_id, tags, CASE WHEN client_id IN ('', 'rdkafka') THEN host END, brokers
    ) END
) VIRTUAL;

-- The totals of each client that measures. None of them ever falls.
CREATE TABLE figures (
    client             INTEGER PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
    -- Clients of one application and one topic can be compared; as in `clients`.
    application        TEXT,
    -- 1 where the records went one by one, 0 where not, NULL where there are too few to tell.
    is_one_by_one      INTEGER,
    -- NULL where the client produced to none or to several.
    only_topic         TEXT,
    -- 1 where the client's requests can be compared with those of another one.
    is_comparable      INTEGER NOT NULL DEFAULT 0,
    -- 1 where others may be compared with this client.
    is_baseline        INTEGER NOT NULL DEFAULT 0,
    at_ms              INTEGER NOT NULL,
    -- How many reports there were: the number of the newest row of the history.
    reports            INTEGER NOT NULL,
    -- How often the client began to count from nothing again; the totals are of all its counting.
    restarts           INTEGER NOT NULL,
    merged_clients     INTEGER NOT NULL,
    -- Those of them that the last report was the first to hold.
    newly_merged       INTEGER NOT NULL,
    measured_ms        INTEGER NOT NULL,
    accepted_records   INTEGER NOT NULL,
    delivered_records  INTEGER NOT NULL,
    delivered_bytes    INTEGER NOT NULL,
    failed_records     INTEGER NOT NULL,
    refused_records    INTEGER NOT NULL,
    produce_requests   INTEGER NOT NULL,
    wire_bytes         INTEGER NOT NULL,
    consumed_records   INTEGER NOT NULL,
    consumed_bytes     INTEGER NOT NULL,
    fetch_requests     INTEGER NOT NULL,
    fetched_bytes      INTEGER NOT NULL,
    -- Durations: the delivery latency, of which no bucket ever falls.
    latency            TEXT NOT NULL,
    -- Measured, masked and bounded, as the client sent it last.
    measured           TEXT NOT NULL
);
CREATE INDEX runs ON figures (application, only_topic, client);
CREATE INDEX one_by_one ON figures (application, client) WHERE is_one_by_one IS NOT NULL;
CREATE INDEX baselines ON figures (application, only_topic, client) WHERE is_baseline;

-- What each report added to the one before.
CREATE TABLE history (
    client             INTEGER NOT NULL REFERENCES clients ON DELETE CASCADE,
    -- Counts the reports of a client from 1.
    number             INTEGER NOT NULL,
    at_ms              INTEGER NOT NULL,
    -- How many reports are in this row: more than one where older ones were folded into it.
    reports            INTEGER NOT NULL,
    measured_ms        INTEGER NOT NULL,
    accepted_records   INTEGER NOT NULL,
    delivered_records  INTEGER NOT NULL,
    delivered_bytes    INTEGER NOT NULL,
    failed_records     INTEGER NOT NULL,
    refused_records    INTEGER NOT NULL,
    produce_requests   INTEGER NOT NULL,
    wire_bytes         INTEGER NOT NULL,
    consumed_records   INTEGER NOT NULL,
    consumed_bytes     INTEGER NOT NULL,
    fetch_requests     INTEGER NOT NULL,
    fetched_bytes      INTEGER NOT NULL,
    PRIMARY KEY (client, number)
) WITHOUT ROWID;

-- Sums over all clients by kind, forgotten ones included: they never fall.
CREATE TABLE totals (
    -- 'unknown' where the client did not say.
    kind               TEXT PRIMARY KEY,
    -- Bytes saved by clients that are forgotten, and how many of them could be compared.
    forgotten_saved    REAL NOT NULL DEFAULT 0,
    forgotten_compared INTEGER NOT NULL DEFAULT 0,
    measured_ms        INTEGER NOT NULL,
    accepted_records   INTEGER NOT NULL,
    delivered_records  INTEGER NOT NULL,
    delivered_bytes    INTEGER NOT NULL,
    failed_records     INTEGER NOT NULL,
    refused_records    INTEGER NOT NULL,
    produce_requests   INTEGER NOT NULL,
    wire_bytes         INTEGER NOT NULL,
    consumed_records   INTEGER NOT NULL,
    consumed_bytes     INTEGER NOT NULL,
    fetch_requests     INTEGER NOT NULL,
    fetched_bytes      INTEGER NOT NULL,
    -- Durations: the delivery latency of all.
    latency            TEXT NOT NULL
) WITHOUT ROWID;
