#!/usr/bin/env bash
# Compares the instructions for one image of this engine's two Arm paths with those of tract's f32, on emulated
# processors:
#     .ci/arm tests/bench/arm/run.sh [MODEL...]
# Models: names in target/bench-models, where tests/bench/run.sh puts them; all of them if none is named. The report
# (Markdown) goes to standard output. Exits with 1 if an engine fails, if the paths' logits differ or if they are far
# from tract's, with 75 if instructions cannot be counted here.
set -euo pipefail
# A failure inside $(...) must not become an empty number.
shopt -s inherit_errexit
here=$(cd "$(dirname "$0")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../../target}
models=$CARGO_TARGET_DIR/bench-models
images=5
runs=3

fail() {
    echo "$1" >&2
    exit 1
}

(cd "$here/.." && cargo build --locked --quiet --release --target aarch64-unknown-linux-gnu -p worker)

# count CPU ENGINE MODEL IMAGES: instructions for one image; leaves what the engine answered in $answers
answers=$(mktemp)
trap 'rm -f "$answers"' EXIT
count() {
    local counts instructions status
    counts=$({ echo "load m $3 $4" && for _ in $(seq "$runs"); do echo "logits m"; done; } |
        "$here/instructions" "$1" "$CARGO_TARGET_DIR/aarch64-unknown-linux-gnu/release/worker" "$2" 3>"$answers") || {
        status=$?
        echo "$2 on a $1 with $3: the instructions cannot be counted" >&2
        exit "$status"
    }
    if [ "$(grep -cE '^[0-9]+( [0-9]+)*$' "$answers")" -ne $((runs + 1)) ]; then
        fail "$2 on a $1 fails with $3: $(tail -n 1 "$answers")"
    fi
    # The median leaves out the first answer, before which memory is allocated.
    instructions=$(awk -v images="$images" '$1 == "between" { printf "%.0f", $3 / images }' <<<"$counts")
    [[ $instructions =~ ^[1-9][0-9]*$ ]] || fail "$2 on a $1 with $3: no instructions were counted: $counts"
    echo "$instructions"
}

# near LOGITS OTHERS: whether two lines of logits, the bits of f32s, differ by less than quantization explains; only a
# check that both engines run the same network
near() {
    awk -v ours="$1" -v others="$2" '
        function value(bits,    sign, exponent, fraction) {
            sign = bits >= 2147483648 ? -1 : 1
            bits %= 2147483648
            exponent = int(bits / 8388608)
            fraction = bits % 8388608 / 8388608
            return sign * (exponent ? (1 + fraction) * 2 ^ (exponent - 127) : fraction * 2 ^ -126)
        }
        function size(x) { return x < 0 ? -x : x }
        BEGIN {
            count = split(ours, a)
            if (count == 0 || split(others, b) != count) exit 1
            for (i = 1; i <= count; i++) {
                if (size(value(a[i]) - value(b[i])) > difference) difference = size(value(a[i]) - value(b[i]))
                if (size(value(b[i])) > largest) largest = size(value(b[i]))
            }
            exit !(difference <= 0.3 * largest + 0.01)
        }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
millions() { awk -v n="$1" 'BEGIN { printf "%.2f", n / 1e6 }'; }

if [ $# -eq 0 ]; then
    for file in "$models"/*-i8.onnx; do
        name=${file##*/}
        set -- "$@" "${name%-i8.onnx}"
    done
fi
for model in "$@"; do
    for file in "$model-i8.onnx" "$model-f32.onnx" "$model.u8"; do
        [ -f "$models/$file" ] || fail "$models/$file is missing: run tests/bench/run.sh first, which makes it"
    done
    [ "$(stat -c %s "$models/$model.u8")" -gt 0 ] || fail "$models/$model.u8 holds no images"
done
echo "| model | tract f32, cortex-a53 | cortex-a72 | cortex-a76 | neon | of a53's | of a72's | dotprod | of a76's |"
echo "|---|---|---|---|---|---|---|---|---|"
for model in "$@"; do
    float=()
    for cpu in cortex-a53 cortex-a72 cortex-a76; do
        instructions=$(count "$cpu" tract-f32 "$models/$model-f32.onnx" "$models/$model.u8")
        float+=("$instructions")
    done
    reference=$(tail -n 1 "$answers")
    neon=$(PUMUA_KERNELS=neon count cortex-a53 engine "$models/$model-i8.onnx" "$models/$model.u8")
    logits=$(tail -n 1 "$answers")
    dot=$(PUMUA_KERNELS=dotprod count cortex-a76 engine "$models/$model-i8.onnx" "$models/$model.u8")
    if [ "$logits" != "$(tail -n 1 "$answers")" ]; then
        fail "$model: the logits of both paths differ (bits of f32): $logits; $(tail -n 1 "$answers")"
    fi
    near "$logits" "$reference" || fail "$model: the logits are far from tract's (bits of f32): $logits; $reference"
    echo "| $model | $(millions "${float[0]}") | $(millions "${float[1]}") | $(millions "${float[2]}") |" \
        "$(millions "$neon") | $(ratio "$neon" "${float[0]}") | $(ratio "$neon" "${float[1]}") |" \
        "$(millions "$dot") | $(ratio "$dot" "${float[2]}") |"
done
