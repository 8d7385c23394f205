#!/usr/bin/env bash
# What the way from a file to the model's input costs, for a film of 3,000 × 2,500 pixels in four forms: milliseconds and
# the most memory on this computer, instructions on an emulated Cortex-A53:
#     tests/bench/cost.sh [--rounds N]             time and memory
#     .ci/arm tests/bench/cost.sh --instructions   instructions
# The report (Markdown) goes to standard output. Exits with 75 if the films cannot be made or instructions not be counted here.
# The network itself is in docs/engine.md.
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-target}
films=$target/bench-films
rounds=11
triple=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2 && shift ;;
        --instructions) triple=aarch64-unknown-linux-gnu ;;
        *) sed -n '4,5s/^# *//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

if [ ! -e "$films/film.jpg" ]; then
    python=$(tests/python.sh bench-films numpy==2.4.6 pillow==13.0.0)
    PYTHONDONTWRITEBYTECODE=1 "$python" tests/bench/films.py "$films"
fi
names=(uncompressed.dcm run-lengths.dcm jpeg-2000.dcm film.jpg)
program=$target/${triple:+$triple/}debug/examples/cost
cargo build --locked --quiet ${triple:+--target "$triple"} -p decode --example cost

if [ -n "$triple" ]; then
    # count STEP FILE: millions of instructions of one round
    count() {
        local counts
        counts=$(tests/bench/arm/instructions cortex-a53 "$program" "$1" 1 "$films/$2") || exit $?
        awk '$1 == "total" { printf "%.0f", $2 / 1e6 }' <<<"$counts"
    }
    echo "| millions of instructions, Cortex-A53 | decode | prepare the whole | look for frames besides |"
    echo "|---|--:|--:|--:|"
    for name in "${names[@]}"; do
        read=$(count read "$name")
        decode=$(($(count decode "$name") - read))
        stretch=$(($(count stretch "$name") - read))
        unframed=$(($(count unframed "$name") - read))
        echo "| $name | $decode | $((stretch - decode)) | $((unframed - stretch)) |"
    done
    exit
fi
echo "| ms; MiB besides the file | decode | and prepare the whole | the same, with frames left out | most memory |"
echo "|---|--:|--:|--:|--:|"
for name in "${names[@]}"; do
    for step in decode stretch unframed; do
        "$program" "$step" "$rounds" "$films/$name"
    done | awk -v name="$name" '
        { ms[NR] = $2; if ($3 > peak) peak = $3 }
        END { printf "| %s | %.0f | %.0f | %.0f | %.1f |\n", name, ms[1], ms[2], ms[3], peak / 1048576 }'
done
