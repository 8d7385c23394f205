#!/usr/bin/env bash
# Runs a tiny study on synthetic radiographs as an array of three jobs of Slurm, on this computer alone: one is killed in its
# middle and queued again. Puts the parts together and compares results and report with those of one computer, byte by byte.
# Needs root, because Slurm's programs start as it; nothing outside a temporary folder is written. Ends with 75, and says why,
# where Slurm is not there or does not start. `tests/cluster/run.sh PROGRAM` takes a `pumua` that is built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PATH:/usr/sbin:/sbin
for tool in slurmctld slurmd sbatch munged mungekey; do
    if ! command -v "$tool" >/dev/null; then
        echo "no $tool (Debian's packages slurm-wlm and munge have it)"
        exit 75
    fi
done
if [ "$(id -u)" -ne 0 ]; then
    echo "Slurm's programs are started as root, in a container, say: this is another user"
    exit 75
fi
pumua=${1:-}
if [ -z "$pumua" ]; then
    cargo build --locked --quiet --package host
    pumua=${CARGO_TARGET_DIR:-$PWD/target}/debug/pumua
fi
pumua=$(realpath "$pumua")

scratch=$(mktemp -d)
started=()
stop() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${started[@]}"; do
        # A daemon that does not end in ten seconds is ended.
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap stop EXIT

not_started() {
    echo "left out: Slurm does not start here: $1"
    tail -n 5 "$scratch"/*.log 2>/dev/null || true
    exit 75
}

# A Slurm of one node, with its own key, ports and folders.
host=$(hostname -s)
port=$((20000 + $$ % 20000))
chmod 755 "$scratch"
mkdir -p "$scratch/munge" "$scratch/state" "$scratch/spool"
chmod 700 "$scratch/munge"
mungekey --create --keyfile "$scratch/munge/key"
munged --foreground --key-file "$scratch/munge/key" --socket "$scratch/munge/socket" --pid-file "$scratch/munge/pid" \
    --log-file "$scratch/munge/log" --seed-file "$scratch/munge/seed" --force >"$scratch/munged.log" 2>&1 &
started+=($!)
cat >"$scratch/slurm.conf" <<CONF
ClusterName=pumua
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$scratch/munge/socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
JobRequeue=1
KillWait=5
SchedulerParameters=sched_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$scratch/slurm.conf
for _ in $(seq 50); do
    [ -S "$scratch/munge/socket" ] && break
    sleep 0.1
done
[ -S "$scratch/munge/socket" ] || not_started "munged"
slurmctld -D -c >"$scratch/slurmctld.log" 2>&1 &
started+=($!)
slurmd -D -N "$host" >"$scratch/slurmd.log" 2>&1 &
started+=($!)
for _ in $(seq 300); do
    [ "$(sinfo --noheader --format=%t 2>/dev/null || true)" = idle ] && break
    sleep 0.1
done
[ "$(sinfo --noheader --format=%t 2>/dev/null || true)" = idle ] || not_started "the node is not idle after 30 s"

# The second run is long enough to be killed in its middle; another one on each side.
cat >"$scratch/plan.toml" <<'PLAN'
[[group]]
name = "tiny"
title = "Tiny"
text = "Small enough for a test."

[[experiment]]
name = "tiny"
title = "tiny"
group = "tiny"
like = "sgd"
recipe = { side = 32, steps = 4, validation_steps = 2, epochs = 60 }

[[experiment]]
name = "tiny-long"
title = "tiny, long"
group = "tiny"
like = "tiny"
recipe = { epochs = 300, dropout = 0.2, augmentation = { rotation = 10.0 } }

[[experiment]]
name = "tiny-short"
title = "tiny, short"
group = "tiny"
like = "tiny"
recipe = { epochs = 20, network = { batch_norm = true } }

[[comparison]]
name = "tiny-question"
question = "Does a long training help?"
experiments = ["tiny", "tiny-long", "tiny-short"]
PLAN
study=("$pumua" study --images 60 --seeds 1 --only tiny --jobs 1 --recipes "$scratch/plan.toml")
export PUMUA_CACHE=$scratch/cache
cat >"$scratch/job" <<JOB
#!/bin/bash
exec $(printf '%q ' "${study[@]}") --out $(printf %q "$scratch/parts") --part "\$SLURM_ARRAY_TASK_ID/\$SLURM_ARRAY_TASK_COUNT"
JOB
job=$(sbatch --parsable --array=1-3 --cpus-per-task=1 --requeue --open-mode=append --chdir="$scratch" --output="$scratch/part-%a.log" "$scratch/job")

# The longest run falls to part 1.
killed=$scratch/parts/runs/tiny-long/seed-1
for _ in $(seq 600); do
    [ "$(wc -l 2>/dev/null <"$killed/metrics.csv" || echo 0)" -ge 4 ] && break
    sleep 0.05
done
[ -e "$killed/checkpoint" ] && [ ! -e "$killed/result.json" ] || { echo "part 1 was not in its middle"; exit 1; }
# Nothing is put in order: as if the power had failed.
scancel --full --signal=KILL "${job}_1"
for _ in $(seq 300); do
    state=$(scontrol show job "${job}_1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')
    case $state in FAILED | NODE_FAIL | CANCELLED) break ;; esac
    sleep 0.1
done
echo "part 1 was killed after $(($(wc -l <"$killed/metrics.csv") - 1)) epochs: $state"
if "${study[@]}" --out "$scratch/parts" --merge 2>"$scratch/merge.log"; then
    echo "the parts were put together although one is missing"
    exit 1
fi
grep -q "part 1/3 lacks 1 of 1 runs: .*--part 1/3" "$scratch/merge.log" || { cat "$scratch/merge.log"; exit 1; }
scontrol requeue "${job}_1"
# Slurm waits two minutes before it starts a job again; here nothing has to recover.
scontrol update "JobId=${job}_1" StartTime=now 2>/dev/null || true
for _ in $(seq 3000); do
    [ -z "$(squeue --noheader --jobs="$job" 2>/dev/null || true)" ] && break
    sleep 0.1
done
"${study[@]}" --out "$scratch/parts" --merge || { cat "$scratch"/part-*.log; exit 1; }
"${study[@]}" --out "$scratch/whole" >/dev/null 2>&1

# What two runs never have alike: when and where they were, and how long they took. It is made the same in the results of both,
# and the reports are written again of these. All the rest is compared as it is.
for folder in parts whole; do
    find "$scratch/$folder/runs" -name result.json -exec sed -E -i \
        -e 's/"seconds":[^,}]*/"seconds":1.5/' -e 's/"date":"[^"]*"/"date":"2026"/' \
        -e 's/"machine":"[^"]*"/"machine":"here"/' -e 's/"threads":[0-9]+/"threads":1/' {} +
done
"${study[@]}" --out "$scratch/parts" --merge >/dev/null 2>&1
"${study[@]}" --out "$scratch/whole" --resume >/dev/null 2>&1
diff -r --brief --exclude=parts --exclude=study.toml --exclude=.lock "$scratch/parts" "$scratch/whole"
echo "three parts by Slurm, one of them killed and queued again: $(find "$scratch/whole" -type f | wc -l) files like those of one computer"
