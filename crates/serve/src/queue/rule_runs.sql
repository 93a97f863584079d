-- Read by SQLite and PostgreSQL alike. Times are milliseconds since 1970 in UTC.
CREATE TABLE rule_runs (
    series TEXT NOT NULL,
    rule TEXT NOT NULL,
    study TEXT NOT NULL,
    job TEXT NOT NULL,
    state TEXT NOT NULL,
    fetched BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    error TEXT,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (series, rule)
);

CREATE INDEX rule_runs_in_order ON rule_runs (state, created);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    until BIGINT NOT NULL
);
