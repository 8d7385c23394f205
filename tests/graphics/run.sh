#!/usr/bin/env bash
# Trains on a graphics processor that a program plays: Mesa's lavapipe, through Vulkan, on any computer. The losses are those of the
# processor within 2 % after the first epoch; the model goes the whole way to its answers; and a computer without a driver is told so.
# The program with graphics is built into a folder of its own, so that other things can be built meanwhile. Ends with 75, and says why,
# where lavapipe cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
# How far a loss after the first epoch may lie from that of the processor, as a share of it. Sums in another order are all that should
# differ, which comes to far less; a wrong operator comes to far more.
tolerance=0.02

left_out() {
    echo "no training on a graphics processor: $1"
    exit 75
}

lavapipe() { compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' | head -n 1; }
install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && .ci/packages mesa-vulkan-drivers libvulkan1 >&2
}
driver=$(lavapipe || true)
if [ -z "$driver" ]; then
    install || left_out "install lavapipe (Debian: mesa-vulkan-drivers)"
    driver=$(lavapipe || true)
    [ -n "$driver" ] || left_out "mesa-vulkan-drivers has no lavapipe here"
fi
# Of all drivers this one alone, under both names of the variable, and none of OpenGL.
export VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver __EGL_VENDOR_LIBRARY_FILENAMES=/nonexistent

compiled=$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug
export CARGO_TARGET_DIR=$PWD/target/graphics
# What is the same with graphics is taken over as it was compiled. Others may compile there just now, and what they move away is not copied:
# so first comes what says that a crate is whole, and then the crates. Cargo compiles what is not there.
if [ -d "$compiled/.fingerprint" ] && [ ! -d "$CARGO_TARGET_DIR/debug" ]; then
    mkdir -p "$CARGO_TARGET_DIR/debug/deps"
    cp --archive --reflink=auto "$compiled/.fingerprint" "$compiled/build" "$CARGO_TARGET_DIR/debug/" 2>/dev/null || true
    find "$compiled/deps" \( -name '*.rlib' -o -name '*.rmeta' -o -name '*.so' -o -name '*.d' \) -exec \
        cp --archive --reflink=auto --target-directory="$CARGO_TARGET_DIR/debug/deps" {} + 2>/dev/null || true
fi
cargo build --locked --quiet --package host --features wgpu
pumua=$CARGO_TARGET_DIR/debug/pumua

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PUMUA_CACHE=$scratch/cache
fail() {
    echo "$1" >&2
    exit 1
}
# Shows what a program says only if it fails; what it prints is kept.
quietly() {
    "$@" >"$scratch/printed" 2>"$scratch/said" || { cat "$scratch/printed" "$scratch/said" >&2; fail "this failed: $*"; }
}
for device in processor graphics; do
    quietly "$pumua" train --images 200 --side 32 --steps 6 --epochs 2 --seed 1 --device "$device" --out "$scratch/$device"
done
grep -q '"device": "graphics: ' "$scratch/graphics/report.json" || fail "the report does not name the graphics processor"
grep -q '^device = "graphics"$' "$scratch/graphics/config.toml" || fail "the settings do not name the graphics processor"
grep -q '^device' "$scratch/processor/config.toml" && fail "the settings of a training on the processor name a device"

awk -F, -v tolerance="$tolerance" '
    FNR == 1 { next }
    NR == FNR { train[$1] = $2; validation[$1] = $4; next }
    {
        compare("training", train[$1], $2)
        compare("validation", validation[$1], $4)
        epochs++
    }
    function compare(part, expected, value) {
        apart = (value - expected) / expected
        apart = apart < 0 ? -apart : apart
        printf "epoch %d, %s: loss %.6f on the processor, %.6f on graphics, apart by %.4f %%\n", $1, part, expected, value, 100 * apart
        # What is no number compares as anything.
        if (value !~ /^[0-9.e+-]+$/ || ($1 == 1 && apart > tolerance)) { failed = 1 }
    }
    END {
        if (epochs != 2) { print "there are not two epochs to compare"; exit 1 }
        if (failed) { print "the losses after the first epoch are further apart than " 100 * tolerance " %"; exit 1 }
    }' "$scratch/processor/metrics.csv" "$scratch/graphics/metrics.csv"

# Its checkpoint is continued, and its model goes the whole way.
quietly "$pumua" train --resume "$scratch/graphics" --epochs 3
[ "$(wc -l <"$scratch/graphics/metrics.csv")" -eq 4 ] || fail "the training on graphics has not gone on"
quietly "$pumua" synthetic "$scratch/images" --count 10 --seed 7
quietly "$pumua" quantize "$scratch/graphics/synthetic-model-float32.onnx" --data "$scratch/images" --out "$scratch/int8.onnx"
quietly "$pumua" predict "$scratch/images" --model "$scratch/int8.onnx" --csv
lines=$(wc -l <"$scratch/printed")
[ "$lines" -eq 11 ] || fail "the quantized model gives $lines lines instead of 11"

# What is not there is said in words, and the processor needs none of it, also to go on with a checkpoint.
refused() {
    local said
    said=$("$@" 2>&1) && fail "this should have been refused: $*"
    case $said in
        *panicked*) fail "it panics: $said" ;;
        *"$expected"*) ;;
        *) fail "it says something else than \"$expected\": $said" ;;
    esac
}
expected='give a number from 0 to 0' refused "$pumua" train --device graphics:200 --out "$scratch/none"
expected='--features cuda' refused "$pumua" train --device cuda --out "$scratch/none"
export VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent
expected='install the driver' refused "$pumua" train --device graphics --out "$scratch/none"
quietly "$pumua" train --resume "$scratch/processor" --epochs 3
echo "trained on lavapipe: the losses are those of the processor within 2 % after the first epoch, and the model gives its answers"
