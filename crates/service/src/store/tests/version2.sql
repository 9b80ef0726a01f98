-- What a service of version 2 kept of one consumer, after two reports.
INSERT INTO clients (hash, kind, client_id, host, tags, registration, answer, mode, registered_ms,
                     seen_ms, reports, sequence)
VALUES ('5fd9c4a2b1e84d3c9a7f60e1d2c3b4a5', 'consumer', 'orders', 'shop-1', '', '{}', '{"start":true}',
        'active',
        1700000000000, 1700000002000, 2, 2);
INSERT INTO figures
VALUES (1, NULL, NULL, NULL, 0, 0, 1700000002000, 2, 0, 0, 0, 2000, 0, 0, 0, 0, 0, 0, 0, 600, 60000,
        6, 30000, '{}',
        '{"duration_ms":2000,"topics":{"orders":{"consumed":{"records":600,"bytes":60000}}}}');
INSERT INTO history
VALUES (1, 1, 1700000001000, 1, 1000, 0, 0, 0, 0, 0, 0, 0, 200, 20000, 2, 10000),
       (1, 2, 1700000002000, 1, 1000, 0, 0, 0, 0, 0, 0, 0, 400, 40000, 4, 20000);
INSERT INTO totals
VALUES ('consumer', 0, 0, 2000, 0, 0, 0, 0, 0, 0, 0, 600, 60000, 6, 30000, '{}');
