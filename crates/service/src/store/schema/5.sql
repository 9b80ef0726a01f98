-- Clients that are on a link of another instance than the one that has something for them.

-- Where the instance with the link is to tell the client what is new: the last update that is not.
ALTER TABLE clients ADD COLUMN news_after INTEGER;
-- 1 where it is to ask the client to report.
ALTER TABLE clients ADD COLUMN is_wanted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clients_with_errands ON clients (link) WHERE news_after IS NOT NULL OR is_wanted;
