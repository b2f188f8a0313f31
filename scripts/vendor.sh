#!/usr/bin/env bash
# Fetches the front-end files that are kept in the repository, with their licences, and writes the READMEs beside them.
# Run by hand, with npm, after changing a version below; tests/test_house.py holds the files to the sums written here.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# unpack PACKAGE@VERSION: prints the folder that the package was unpacked into.
unpack() {
    local into="$work/$1"
    if [ ! -d "$into" ]; then
        mkdir -p "$into"
        tar xz -C "$into" --strip-components=1 -f "$work/$(cd "$work" && npm pack --silent "$1")"
    fi
    echo "$into"
}

# start FOLDER SENTENCE: a new README, and the folder that the next calls of keep put files into.
start() {
    into=$1
    mkdir -p "$into"
    printf '# Vendored files\n\n%s Made by `scripts/vendor.sh`; not to be edited.\n\n' "$2" >"$into/README.md"
    printf '| file | npm package | licence | sha256 |\n|---|---|---|---|\n' >>"$into/README.md"
}

# keep NAME PACKAGE@VERSION FILE LICENCE [PACKAGE@VERSION that holds the licence's text]
keep() {
    local from licence
    from=$(unpack "$2") licence=$(unpack "${5:-$2}")
    cp "$from/$3" "$into/$1.min.js"
    cp "$licence/LICENSE" "$into/$1.LICENSE"
    printf '| %s.min.js | %s | %s | %s |\n' "$1" "$2" "$4" "$(sha256sum <"$into/$1.min.js" | cut -d' ' -f1)" >>"$into/README.md"
}

start src/forbear/web/static/vendor "Served to the browser as they are, so that a page asks no other host for anything."
keep htmx htmx.org@4.0.1 dist/htmx.min.js 0BSD
keep vega vega@6.4.0 build/vega.min.js BSD-3-Clause
keep vega-lite vega-lite@6.5.0 build/vega-lite.min.js BSD-3-Clause
# 1.2.1 is the last with a build that a plain <script> can load; its package leaves the licence's text out.
keep vega-interpreter vega-interpreter@1.2.1 build/vega-interpreter.min.js BSD-3-Clause vega-interpreter@2.3.2

start tests/vendor "Run inside the pages by the accessibility tests; not part of the product."
keep axe axe-core@4.14.1 axe.min.js MPL-2.0
cp "$(unpack axe-core@4.14.1)/LICENSE-3RD-PARTY.txt" tests/vendor/axe.LICENSE-3RD-PARTY.txt
