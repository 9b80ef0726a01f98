-- What consumers meet of payload reduction: records with the header `superstream_schema`, at least
-- so many.
ALTER TABLE figures ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;

-- The number of the Kafka cluster that a client uses, as it told last; 0 is unknown.
ALTER TABLE clients ADD COLUMN connection_id INTEGER NOT NULL DEFAULT 0;

-- Clients that are met over NATS and say nothing while they run, as the deployed SDKs.

-- 0 from the registration until the client is known to run, 1 from then on; NULL for all others,
-- who report.
ALTER TABLE clients ADD COLUMN listens INTEGER;
-- Its connection to NATS. NULL where it did not name one that tells it from others.
ALTER TABLE clients ADD COLUMN nats_connection_id TEXT;
-- When it is to be looked for next, and how often it was looked for in vain since it was there.
ALTER TABLE clients ADD COLUMN look_ms INTEGER;
ALTER TABLE clients ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clients_on_nats ON clients (nats_connection_id) WHERE nats_connection_id IS NOT NULL;
CREATE INDEX clients_to_look_for ON clients (look_ms) WHERE listens IS NOT NULL AND gone_ms IS NULL;
