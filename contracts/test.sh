#!/usr/bin/env bash
# Everything that a change of the contracts needs.
#   contracts/test.sh           tests, and compares ABI, storage layout, gas snapshot and vectors with what is committed
#   contracts/test.sh --write   writes those instead (storage layout only by hand: node script/layout.mjs --write)
#   contracts/test.sh --deep    longer fuzzing
set -euo pipefail
cd "$(dirname "$0")"
write=
for argument in "$@"; do
    case $argument in
        --write) write=1 ;;
        --deep) export FOUNDRY_PROFILE=deep ;;
        *) echo "contracts/test.sh: unknown argument $argument" >&2; exit 2 ;;
    esac
done

./build $([ -n "$write" ] || echo --check)
PATH="$PWD/node_modules/.bin:$PATH"
node script/layout.mjs

forge test --no-match-contract 'GasTest|Vectors'
if [ -n "$write" ]; then
    forge test --isolate --match-contract GasTest
    node script/gas.mjs
    ./vectors
else
    FORGE_SNAPSHOT_CHECK=true forge test --isolate --match-contract GasTest
    node script/gas.mjs --check
    ./vectors --check
fi

slither=${SLITHER:-$(command -v slither || ls ../build/venv/bin/slither 2>/dev/null || true)}
if [ -n "$slither" ]; then
    # in folders of its own: it cleans before it compiles
    FOUNDRY_OUT=cache/slither/out FOUNDRY_CACHE_PATH=cache/slither/cache "$slither" . --filter-paths 'node_modules|test' \
        --fail-medium --exclude-low --exclude-informational --exclude-optimization
else
    echo "contracts: slither is not installed (PyPI slither-analyzer); skipped" >&2
fi
