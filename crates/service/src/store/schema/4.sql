-- Clients that are on a link.

-- The instance of the service that has the client on a link, or had it there last; NULL from its
-- goodbye on. A client that is gone and has one did not say goodbye: its link ended.
ALTER TABLE clients ADD COLUMN link INTEGER;
