#!/bin/sh
# make setup: install the packages that are missing, and nothing else.
# The list with a reason for each is grader/packages.txt. On Debian and Ubuntu
# it installs as root or through sudo; elsewhere it prints what is needed.
# With nothing missing it asks dpkg once and needs no network.
set -eu

PYTHON=${PYTHON:-/usr/bin/python3}
export PYTHON
cd "$(dirname "$0")/.."
list=grader/packages.txt

# Prints the lines of the list whose package dpkg does not have.
not_installed() {
    dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null |
        awk 'FILENAME == "-" { if ($2 == "installed") have[$1] = 1; next }
             /^#/ || NF == 0 { next }
             { n = split($1, names, "/"); found = 0
               for (i = 1; i <= n; i++) if (names[i] in have) found = 1
               if (!found) print }' - "$list"
}

# Drops the lines whose program is there all the same, from another source.
not_usable() {
    while IFS= read -r line; do
        probe=$(printf '%s\n' "$line" | awk -F '  +' '{ print $2 }')
        sh -c "$probe" </dev/null >/dev/null 2>&1 || printf '%s\n' "$line"
    done
}

# The first of the names in a/b that this release has; nothing if it has none.
available() {
    for name in $(echo "$1" | tr / ' '); do
        if apt-cache show "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "setup: neither root nor sudo; run this as root: $*" >&2
        exit 1
    fi
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: this is not Debian or Ubuntu. These are its names of what is needed:"
    grep -v '^#' "$list" | awk '{ print "  " $1 }'
    exec "$PYTHON" -m grader doctor --tools
fi

missing=$(not_installed | not_usable | awk '{ print $1 }')
if [ -z "$missing" ]; then
    echo "setup: nothing is missing"
    exit 0
fi

echo "setup: missing:" $missing
as_root apt-get update -q || echo "setup: apt-get update failed; trying with the lists there are" >&2
chosen=
for names in $missing; do
    package=$(available "$names")
    if [ -n "$package" ]; then
        chosen="$chosen $package"
    else
        echo "setup: this release has no package $names; make doctor says what it is for" >&2
    fi
done
if [ -n "$chosen" ]; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Acquire::Retries=3 $chosen
fi
