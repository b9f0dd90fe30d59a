#!/usr/bin/env bash
# Installs the nodes that tests run against (anvil, Ganache) into test/tools/node_modules, once for each lock file.
# Usage: test/tools/install.sh
set -eu
cd "$(dirname "$0")"
stamp=node_modules/.installed
if [ -e "$stamp" ] && cmp -s package-lock.json "$stamp"; then exit 0; fi
command -v npm >/dev/null || { echo "npm is missing: install Debian's nodejs and npm" >&2; exit 1; }
# Not `npm ci`: it wants the packages of every other platform in the lock file.
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error
cp package-lock.json "$stamp"
