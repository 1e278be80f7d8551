-- The read model. One text for SQLite and Postgres: SEQ_KEY and BYTES stand for
-- what the two spell differently. Times are microseconds since 1970, UTC; money
-- is in the currency's minor units. NULL means that nothing is known.

CREATE TABLE store (
    only_row  BIGINT PRIMARY KEY CHECK (only_row = 1),
    id        TEXT   NOT NULL, -- minted with the database
    epoch     BIGINT NOT NULL  -- of the writer; an older one is refused
);

CREATE TABLE sources (
    source  TEXT   PRIMARY KEY, -- ledger, dead_letters, acts
    stream  TEXT   NOT NULL,
    created BIGINT NOT NULL,    -- when the stream was made: its identity
    first   BIGINT NOT NULL,    -- the stream's first sequence when reading began
    applied BIGINT NOT NULL,    -- the model is exact as of this sequence
    stored  BIGINT              -- when the stream stored that message
);

CREATE TABLE events (
    seq           SEQ_KEY,
    id            TEXT NOT NULL,   -- empty if the event cannot be read
    trade         TEXT NOT NULL,
    type          TEXT NOT NULL,
    at            BIGINT NOT NULL, -- the writer's clock
    stored        BIGINT NOT NULL, -- the ledger's clock
    after_seq     BIGINT,          -- the trade's event before, as the writer saw it
    request_id    TEXT,            -- of attempted
    response_id   TEXT,
    transaction_id TEXT,
    gateway_order TEXT,
    flaw          TEXT,            -- unreadable, doubled, misfiled
    raw           BYTES NOT NULL   -- as the ledger holds it
);
CREATE INDEX events_trade ON events (trade, seq);
CREATE INDEX events_id ON events (id);
CREATE INDEX events_request ON events (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX events_response ON events (response_id) WHERE response_id IS NOT NULL;
CREATE INDEX events_transaction ON events (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX events_gateway_order ON events (gateway_order) WHERE gateway_order IS NOT NULL;
CREATE INDEX events_flaw ON events (seq) WHERE flaw IS NOT NULL;

CREATE TABLE trades (
    trade         TEXT PRIMARY KEY, -- capture.TradeKey
    trade_id      TEXT NOT NULL,    -- as the job spells it
    phase         TEXT NOT NULL,
    case_kind     TEXT,             -- parked, open, contradicted: what is not settled
    events        BIGINT NOT NULL,
    flaws         BIGINT NOT NULL,
    first_seq     BIGINT NOT NULL,
    last_seq      BIGINT NOT NULL,
    first_at      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL,
    last_type     TEXT NOT NULL,
    order_id      TEXT,
    amount        TEXT,             -- what the job asks
    currency      TEXT,
    minor         BIGINT,
    reason        TEXT,             -- of failed and parked
    outcome_id    TEXT,
    learned_at    BIGINT,           -- when the outcome was written
    paid_at       BIGINT,           -- when the gateway says it was paid
    booked_at     BIGINT,           -- paid_at, else learned_at
    taken_amount  TEXT,             -- of captured
    taken_currency TEXT,
    taken_minor   BIGINT,
    settlement_amount TEXT,
    settlement_currency TEXT,
    exchange_rate TEXT,
    transaction_id TEXT,
    gateway_order TEXT,
    response_id   TEXT,
    request_id    TEXT,
    attempt       BIGINT NOT NULL,
    calls         BIGINT NOT NULL,
    worker        TEXT NOT NULL,    -- that wrote the outcome, else the last event
    rule          TEXT,
    corrects      TEXT,
    corrections   BIGINT NOT NULL,
    doubted       BOOLEAN NOT NULL,
    withdrawn     BOOLEAN NOT NULL,
    dismissed     BOOLEAN NOT NULL,
    contradicted  BOOLEAN NOT NULL,
    opened_at     BIGINT NOT NULL,
    retry_at      BIGINT,
    deadline      BIGINT NOT NULL   -- the largest number if none is known
);
CREATE INDEX trades_recent ON trades (last_seq);
CREATE INDEX trades_learned ON trades (phase, learned_at);
CREATE INDEX trades_booked ON trades (phase, booked_at);
CREATE INDEX trades_due ON trades (case_kind, deadline, trade) WHERE case_kind IS NOT NULL;
CREATE INDEX trades_waiting ON trades (case_kind, opened_at, trade) WHERE case_kind IS NOT NULL;

CREATE TABLE orders (
    order_id  TEXT NOT NULL,
    trade     TEXT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq  BIGINT NOT NULL,
    PRIMARY KEY (order_id, trade)
);

CREATE TABLE dead_letters (
    seq       SEQ_KEY,
    stored    BIGINT NOT NULL,
    reason    TEXT NOT NULL,
    detail    TEXT NOT NULL,
    subject   TEXT NOT NULL,   -- of the job
    stream    TEXT NOT NULL,
    job_seq   BIGINT NOT NULL,
    part      TEXT,
    trade     TEXT,            -- that it seems to be about
    order_id  TEXT,
    amount    TEXT,            -- if it can be read as a job
    currency  TEXT,
    minor     BIGINT,
    waiting   BOOLEAN NOT NULL,
    resolution TEXT,           -- republished, dismissed
    resolved_at BIGINT,
    resolved_by TEXT,
    headers   TEXT NOT NULL,   -- of the job, as JSON
    body      BYTES NOT NULL
);
CREATE INDEX dead_letters_trade ON dead_letters (trade, seq) WHERE trade IS NOT NULL;
CREATE INDEX dead_letters_order ON dead_letters (order_id, seq) WHERE order_id IS NOT NULL;
CREATE INDEX dead_letters_waiting ON dead_letters (seq) WHERE waiting;

CREATE TABLE acts (
    source  TEXT NOT NULL,     -- the stream that tells of it, as in sources
    seq     BIGINT NOT NULL,
    act     TEXT NOT NULL,     -- as in internal/acts
    actor   TEXT NOT NULL,
    note    TEXT NOT NULL,
    at      BIGINT NOT NULL,
    trade   TEXT,
    order_id TEXT,
    letter  BIGINT,            -- the dead letter's sequence
    amount  TEXT,
    currency TEXT,
    minor   BIGINT,
    raw     BYTES NOT NULL,
    PRIMARY KEY (source, seq)
);
CREATE INDEX acts_time ON acts (at, source, seq);
CREATE INDEX acts_trade ON acts (trade) WHERE trade IS NOT NULL;
CREATE INDEX acts_letter ON acts (letter) WHERE letter IS NOT NULL;
