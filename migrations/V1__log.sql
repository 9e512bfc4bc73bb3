-- The log, and what belongs to it. Forward only: a migration that has shipped is never edited.

-- Facts. `chain` is the first 16 bytes of blake3(chain of the event before || json); the other
-- columns repeat what `json` says so that readers can select by them.
CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    project INTEGER,
    loop    TEXT,
    kind    TEXT    NOT NULL,
    json    TEXT    NOT NULL,
    chain   BLOB    NOT NULL
) STRICT;

CREATE INDEX event_project ON event (project) WHERE project IS NOT NULL;
CREATE INDEX event_loop    ON event (loop)    WHERE loop    IS NOT NULL;

-- What the store says about itself: tag, seed, clean.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Small blobs by the BLAKE3 digest of their bytes; large ones are files.
CREATE TABLE blob (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    bytes  BLOB NOT NULL
) STRICT;

-- Cache snapshots: any build may throw them away. The payload is a file named by seq and digest.
CREATE TABLE snapshot (
    seq    INTEGER PRIMARY KEY,
    stamp  TEXT NOT NULL,
    chain  BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;

-- Base snapshots: what stands for the events up to `seq`. `replaced` is the BLAKE3 digest of the
-- events since the base before, one JSON text a line. Rows are kept; only the newest has a payload.
CREATE TABLE base (
    seq      INTEGER PRIMARY KEY,
    format   INTEGER NOT NULL,
    chain    BLOB NOT NULL,
    replaced BLOB NOT NULL,
    digest   BLOB NOT NULL
) STRICT;
