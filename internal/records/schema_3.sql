-- Sums are read from the indexes alone: a month of outcomes without a look at
-- each trade's row.

DROP INDEX trades_learned;
DROP INDEX trades_booked;
CREATE INDEX trades_learned ON trades (phase, learned_at, taken_currency, taken_minor, currency, minor, reason);
CREATE INDEX trades_booked ON trades (phase, booked_at, taken_currency, taken_minor, currency, minor, reason);
