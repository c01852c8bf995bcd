-- 10,000 rows to select by key, and 20 rows for the list; some of their text needs escapes.
CREATE TABLE worlds (id int PRIMARY KEY, number int NOT NULL);
INSERT INTO worlds SELECT id, id * 7919 % 10007 FROM generate_series(1, 10000) AS id;
CREATE TABLE fortunes (id int PRIMARY KEY, message text NOT NULL);
INSERT INTO fortunes SELECT id, 'Fortune ' || id * 7 % 20 || ': a & b < c' FROM generate_series(1, 18) AS id;
INSERT INTO fortunes VALUES
    (19, '<script>alert("This should not be displayed in a browser alert box.");</script>'),
    (20, 'フレームワークのベンチマーク');
VACUUM ANALYZE;
