#!/usr/bin/env bash
# Drives the page of `pumua serve` in a headless browser: drop, verdict, answer, search, paging, languages, keyboard alone, a phone, many
# films at once, what is here already, what is wrong with a file or an exam, an update for a box, and nothing that its policy
# forbids. Pictures of the pages go to the folder that is named, if one is. Ends with 75, and says why, where there is no browser.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in python3 chromium chromedriver; do
    if ! command -v "$tool" >/dev/null; then
        echo "no $tool (Debian's packages python3, chromium and chromium-driver have it)"
        exit 75
    fi
done
target=${CARGO_TARGET_DIR:-target}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The rules of accessibility that are checked: axe-core, if npm can fetch it.
axe=$scratch/node_modules/axe-core/axe.min.js
if ! command -v npm >/dev/null || ! npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$scratch" axe-core@4.10.3 >/dev/null 2>&1; then
    echo "left out: axe-core cannot be fetched (npm and its registry are needed), so its rules are not checked"
    axe=
fi
cargo build --locked --quiet --package host --package device
cargo run --locked --quiet --package system-tests --example bundle -- "$scratch/box.pumua"
pictures=${1:-$scratch/pictures}
mkdir -p "$pictures"
PYTHONDONTWRITEBYTECODE=1 python3 tests/page/drive.py "$target/debug/pumua" "$scratch" "$pictures" "$axe"
