-- Acts that are about neither a trade nor a dead letter.
ALTER TABLE acts ADD COLUMN about TEXT;  -- lane batch, code -4024, file orders.csv
ALTER TABLE acts ADD COLUMN detail TEXT;
ALTER TABLE acts ADD COLUMN failed TEXT; -- why it had no effect
