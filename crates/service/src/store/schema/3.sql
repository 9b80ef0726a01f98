-- What consumers meet of payload reduction: records with the header `superstream_schema`, at least
-- so many.
ALTER TABLE figures ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN schema_records INTEGER NOT NULL DEFAULT 0;
