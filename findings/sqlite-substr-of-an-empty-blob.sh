#!/bin/sh
# SQLite: the beginning of an empty blob is NULL, and a comparison with it passes the row over.
#
# SQLite 3.45.3 and 3.54.1 (the libraries inside apsw 3.45.3.0 and 3.54.1.0), the same in both:
#   substr(x'', 1, 8)      NULL, although the value is a blob of length 0 and not NULL
#   substr(x'00', 2, 8)    x'', an empty blob: a beginning that is empty for another reason is no NULL
#   substr('', 1, 8)       '', an empty text
# So in a table of blobs that begin with a tag, `WHERE substr(sealed, 1, 8) <> tag` finds neither the rows with the tag nor those whose
# blob is empty: a count of "rows without the tag" says 1 where there are 2. `coalesce(substr(sealed, 1, 8), x'')` finds both.
#
# Sources: sqlite.org, "Built-In Scalar SQL Functions", substr(X,Y,Z), speaks of bytes of a BLOB and of no NULL; "Obtaining SQL
#          Values" and "Result Values From A Query" say that the C functions ..._blob() return a NULL pointer for a zero-length BLOB.
# Seen 2026-11-30, CPython 3.11.7.
# Fails (exit 1) when any of this is no longer so; exit 2 where the packages cannot be had.
set -eu
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >asked.py <<'END'
import apsw

db = apsw.Connection(":memory:")


def one(sql):
    return next(iter(db.execute(sql)))


print("SQLite", apsw.sqlite_lib_version())
found = {
    "empty blob": one("SELECT typeof(x''), length(x''), typeof(substr(x'', 1, 8))"),
    "end of a blob": one("SELECT typeof(substr(x'00', 2, 8)), length(substr(x'00', 2, 8))"),
    "empty text": one("SELECT typeof(substr('', 1, 8))"),
}
db.execute("CREATE TABLE things (name TEXT PRIMARY KEY, sealed BLOB NOT NULL)")
db.executemany(
    "INSERT INTO things VALUES (?, ?)",
    [("tagged", b"TAG-0001..."), ("other", b"TAG-0002..."), ("empty", b"")],
)
tag = b"TAG-0001"
for name, column in (
    ("substr", "substr(sealed, 1, 8)"),
    ("coalesce", "coalesce(substr(sealed, 1, 8), x'')"),
):
    rows = db.execute(f"SELECT name FROM things WHERE {column} <> ? ORDER BY name", (tag,))
    found[name] = tuple(row[0] for row in rows)
for name, value in found.items():
    print(f"  {name}: {value}")
raise SystemExit(
    found
    != {
        "empty blob": ("blob", 0, "null"),
        "end of a blob": ("blob", 0),
        "empty text": ("text",),
        "substr": ("other",),
        "coalesce": ("empty", "other"),
    }
)
END

"$PYTHON" -m venv venv
for version in 3.45.3.0 3.54.1.0; do
  venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: "apsw==$version" || exit 2
  venv/bin/python asked.py || {
    echo "no longer so with apsw $version" >&2
    exit 1
  }
done
