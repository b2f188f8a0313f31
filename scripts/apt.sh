#!/bin/sh
# Installs system parts by apt where that is possible; else says in one line what to install.
set -eu
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
else
    echo "Please install: $* (Debian: sudo apt-get install $*)" >&2
    exit 1
fi
