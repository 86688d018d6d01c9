-- The truth: log, orders, balances, positions; who owns them; who may use them.

-- A gateway's lease is one row, renewed every second; its shards carry owner and epoch.
CREATE TABLE gateways (
    owner       text PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

CREATE TABLE shards (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 255),
    owner text REFERENCES gateways,
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO shards (shard) SELECT generate_series(0, 255);

CREATE TABLE symbols (
    symbol       text PRIMARY KEY,
    base         text NOT NULL,
    quote        text NOT NULL,
    tick         numeric(28, 8) NOT NULL,
    lot          numeric(28, 8) NOT NULL,
    min_qty      numeric(28, 8) NOT NULL,
    max_qty      numeric(28, 8) NOT NULL,
    min_notional numeric(28, 8) NOT NULL
);

-- chain: SHA-256 over the previous chain and the payload, event by event; it proves the log whole and unchanged.
CREATE TABLE accounts (
    account    text PRIMARY KEY,
    shard      smallint NOT NULL REFERENCES shards,
    seq        bigint NOT NULL DEFAULT 0,
    pruned_seq bigint NOT NULL DEFAULT 0,
    pruned_xid xid8 NOT NULL DEFAULT '0',
    chain      bytea NOT NULL,
    trades     bigint NOT NULL DEFAULT 0,
    limits     jsonb NOT NULL DEFAULT '{}',
    kill       boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- payload is json, not jsonb: the engine's text as it was, amounts digit by digit.
CREATE TABLE order_wal (
    account         text NOT NULL REFERENCES accounts,
    seq             bigint NOT NULL,
    epoch           bigint NOT NULL,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ts_ns           bigint NOT NULL,
    type            text NOT NULL,
    client_order_id text,
    payload         json NOT NULL,
    PRIMARY KEY (account, seq)
);
CREATE INDEX order_wal_by_commit ON order_wal (xid, account, seq);

-- answer is json for the same reason: the first answer is given again byte for byte.
CREATE TABLE orders (
    account           text NOT NULL REFERENCES accounts,
    client_order_id   text NOT NULL,
    digest            bytea NOT NULL,
    answer            json NOT NULL,
    answer_status     smallint NOT NULL,
    key_id            text,
    symbol            text NOT NULL,
    side              text NOT NULL,
    order_type        text NOT NULL,
    tif               text NOT NULL,
    stp               text NOT NULL,
    qty               numeric(28, 8) NOT NULL,
    price             numeric(28, 8) NOT NULL,
    stop_price        numeric(28, 8),
    expire_ts_ns      bigint,
    status            text NOT NULL,
    reason            text NOT NULL,
    executed_qty      numeric(28, 8) NOT NULL,
    executed_notional numeric(28, 8) NOT NULL,
    triggered         boolean NOT NULL,
    rank              bigint NOT NULL,
    venue_order_id    text,
    created_ts_ns     bigint NOT NULL,
    last_ts_ns        bigint NOT NULL,
    created_seq       bigint NOT NULL,
    last_seq          bigint NOT NULL,
    PRIMARY KEY (account, client_order_id)
);
CREATE INDEX orders_open ON orders (account, rank) WHERE status IN ('ACCEPTED', 'PARTIALLY_FILLED');
CREATE INDEX orders_newest ON orders (account, created_seq);

CREATE TABLE fills (
    account         text NOT NULL REFERENCES accounts,
    trade_id        bigint NOT NULL,
    seq             bigint NOT NULL,
    client_order_id text NOT NULL,
    symbol          text NOT NULL,
    side            text NOT NULL,
    qty             numeric(28, 8) NOT NULL,
    price           numeric(28, 8) NOT NULL,
    fee             numeric(28, 8) NOT NULL,
    fee_asset       text NOT NULL,
    liquidity       text NOT NULL,
    ts_ns           bigint NOT NULL,
    PRIMARY KEY (account, trade_id)
);
CREATE INDEX fills_by_order ON fills (account, client_order_id, trade_id);

CREATE TABLE balances (
    account text NOT NULL REFERENCES accounts,
    asset   text NOT NULL,
    free    numeric(28, 8) NOT NULL,
    locked  numeric(28, 8) NOT NULL,
    PRIMARY KEY (account, asset)
);

CREATE TABLE positions (
    account      text NOT NULL REFERENCES accounts,
    symbol       text NOT NULL,
    qty          numeric(28, 8) NOT NULL,
    cost         numeric(28, 8) NOT NULL,
    avg_price    numeric(28, 8) NOT NULL,
    realised     numeric(28, 8) NOT NULL,
    day          bigint NOT NULL,
    day_realised numeric(28, 8) NOT NULL,
    PRIMARY KEY (account, symbol)
);

-- Where a fold of the log may start: the state after event seq, its digest, and the chain up to there.
CREATE TABLE checkpoints (
    account    text NOT NULL REFERENCES accounts,
    seq        bigint NOT NULL,
    chain      bytea NOT NULL,
    state      text NOT NULL,
    digest     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, seq)
);

CREATE TABLE api_keys (
    key_id     text PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    account    text NOT NULL REFERENCES accounts,
    role       text NOT NULL CHECK (role IN ('viewer', 'trader', 'admin')),
    name       text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_account ON api_keys (account);

CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text,
    address    text,
    request_id text,
    action     text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE config (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE config_history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    value      jsonb NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX config_history_by_name ON config_history (name, id);

CREATE FUNCTION record_config() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO config_history (name, value, changed_by, changed_at)
    VALUES (NEW.name, NEW.value, NEW.changed_by, NEW.changed_at);
    RETURN NULL;
END $$;
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE ON config FOR EACH ROW EXECUTE FUNCTION record_config();

-- First in every append. FOR SHARE lets a claim wait for this transaction and this one see the claim. VZ001: not the owner.
CREATE FUNCTION veloz_fence(p_owner text, p_shards smallint[], p_epochs bigint[]) RETURNS xid8 LANGUAGE plpgsql AS $$
DECLARE
    held bigint;
BEGIN
    PERFORM 1 FROM shards s JOIN unnest(p_shards, p_epochs) AS claimed(shard, epoch) ON claimed.shard = s.shard
    WHERE s.owner = p_owner AND s.epoch = claimed.epoch ORDER BY s.shard FOR SHARE OF s;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(p_shards) THEN
        RAISE EXCEPTION USING ERRCODE = 'VZ001',
            MESSAGE = format('%s no longer owns %s of %s shards', p_owner, cardinality(p_shards) - held, cardinality(p_shards));
    END IF;
    RETURN pg_current_xact_id();
END $$;

-- Turns a count of rows that is not the expected one into VZ002, so that a pipelined transaction ends there.
CREATE FUNCTION veloz_expect(p_actual bigint, p_expected bigint, p_what text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF p_actual <> p_expected THEN
        RAISE EXCEPTION USING ERRCODE = 'VZ002', MESSAGE = format('%s: %s rows, expected %s', p_what, p_actual, p_expected);
    END IF;
    RETURN p_actual;
END $$;
