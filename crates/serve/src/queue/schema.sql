-- Read by SQLite and PostgreSQL alike. Times are milliseconds since 1970 in UTC.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    scan TEXT NOT NULL,
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    priority BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    worker TEXT,
    lease BIGINT,
    cancel_requested BIGINT NOT NULL,
    done BIGINT,
    total BIGINT,
    error TEXT,
    segments TEXT,
    created BIGINT NOT NULL,
    started BIGINT,
    ended BIGINT
);

CREATE INDEX jobs_in_order ON jobs (state, priority, created);

CREATE INDEX jobs_of_scan ON jobs (scan, created);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT NOT NULL
);
