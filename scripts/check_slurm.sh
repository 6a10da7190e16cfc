#!/usr/bin/env bash
# Sends a sweep through a real Slurm, loses a task, kills the sweep, and compares the table with that of this machine.
#
# Needs Debian's `slurm-wlm` and `munge`; without them it is skipped, which fails where CI is set. Starts a private
# cluster of one node on loopback, with everything in a temporary folder, and takes it down again. Its two GPUs are files that stand
# for them, and its `apptainer` runs a task without an image: what Slurm grants and what a task is called with are real.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/skip.sh
export PATH="$PATH:/usr/sbin:/sbin"

for program in munged slurmctld slurmd sbatch; do
  if ! command -v "$program" >/dev/null; then
    skip "$program is not installed: install slurm-wlm and munge"
  fi
done

cargo build -q -p runner
actlab="${CARGO_TARGET_DIR:-target}/debug/actlab"
actlab="$(realpath "$actlab")"

place="$(mktemp -d)"
# A path that sbatch, its patterns and the shell all have to be told as it is.
work="$place/act lab 100%j #1"
pids=()
finish() {
  status=$?
  kill "${pids[@]}" 2>/dev/null || true
  if [ $status -ne 0 ]; then
    tail -n 20 "$place"/*.log "$work"/*.log "$work"/results/wide/slurm/*/*.log 2>/dev/null || true
  fi
  sleep 0.5
  rm -rf "$place"
  exit $status
}
trap finish EXIT

user="$(id -un)"
# Below the ports that the system hands out by itself.
port=$((20000 + RANDOM % 10000))
mkdir -p "$place"/{munge,state,spool} "$work"
chmod 0755 "$place" && chmod 0700 "$place/munge"
dd if=/dev/urandom of="$place/munge/key" bs=128 count=1 status=none
chmod 0400 "$place/munge/key"
munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge/socket" \
  --pid-file="$place/munge/pid" --log-file="$place/munge.log" --seed-file="$place/munge/seed" >/dev/null 2>&1 &
pids+=($!)

cat >"$place/slurm.conf" <<CONF
ClusterName=private
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$place/munge/socket
CredType=cred/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SchedulerParameters=sched_interval=1,batch_sched_delay=1
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
printf 'Name=gpu File=%s\n' /dev/null /dev/zero >"$place/gres.conf"
export SLURM_CONF="$place/slurm.conf"
slurmctld -D >"$place/slurmctld.out.log" 2>&1 &
controller=$!
pids+=("$controller")
slurmd -D -N "$(hostname -s)" >"$place/slurmd.out.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
  if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then break; fi
  if ! kill -0 "$controller" 2>/dev/null; then
    echo "slurmctld has ended" >&2
    exit 1
  fi
  sleep 0.2
done
sinfo

mkdir "$place/bin"
ln -s "$actlab" "$place/bin/actlab"
cat >"$place/bin/apptainer" <<'SH'
#!/bin/sh
echo "$* on GPU $CUDA_VISIBLE_DEVICES" >>"$(dirname "$0")/../apptainer.calls"
[ "$1 $2 $3" = "exec --nv /images/act lab.sif" ] || exit 1
shift 3
exec "$@"
SH
chmod +x "$place/bin/apptainer"

cat >"$work/wide.toml" <<TOML
name = "wide"
activations = ["relu", "gelu"]
seeds = [1, 2, 3]
checkpoint_every = 0.2

[slurm]
partition = "all"
account = "science"
time = "0:10:00"
memory = "400M"
gpus = 1
container = "/images/act lab.sif"
setup = ["export PATH='$place/bin':\"\$PATH\""]
runs_per_task = 2

[tasks.images]
model = { name = "resnet", depth = 8, width = 8 }
data = { name = "fashion-mnist-mini", train_limit = 2000 }

[tasks.images.training]
batch_size = 50
budget = { epochs = 3 }
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
TOML
# The tables without speed, time and memory, which stand in the last one.
numbers() { sed -e '/ time |$/,/^$/d' -e '/| examples.s/,/^$/d' -e '/| peak MiB/,/^$/d' "$1" | grep '^|'; }

cd "$work"
echo "== on this machine"
"$actlab" sweep wide.toml --output here >/dev/null 2>here.err.log

echo "== through Slurm"
# Killed while tasks continue, which are not affected.
"$actlab" sweep wide.toml --launcher slurm >/dev/null 2>first.err.log &
sweep=$!
for _ in $(seq 300); do
  if ls results/wide/runs/*/checkpoint-* >/dev/null 2>&1; then break; fi
  sleep 0.1
done
kill -9 $sweep
# As if it had died before it wrote the job's number down: the next one asks for the job by its name.
sed -i 's/"array": [0-9]*/"array": null/' results/wide/slurm/*/submission.json
grep -q '"array": null' results/wide/slurm/*/submission.json
"$actlab" sweep wide.toml --launcher slurm >/dev/null 2>slurm.err.log &
sweep=$!
for _ in $(seq 100); do
  if grep -q 'as tasks of Slurm' slurm.err.log; then break; fi
  sleep 0.1
done
# A task dies without a word, as with its node.
pkill -9 -f "$work/results/wide/slurm/.*/0.json"
wait $sweep
cat slurm.err.log

grep -q 'is gone' slurm.err.log || { echo "the lost task was not noticed"; exit 1; }
grep -q 'resumes from its last checkpoint' slurm.err.log
[ "$(ls results/wide/slurm | wc -l)" -ge 2 ] || { echo "nothing was submitted again"; exit 1; }
sort -u "$place/apptainer.calls" | sed "s|$work/results/wide/||"
grep -q '/0.json on GPU [01]$' "$place/apptainer.calls"
for folder in results/wide/slurm/*/; do
  [ -e "$folder/0.log" ] || { echo "no output of the task in $folder"; exit 1; }
done
diff <(numbers here/wide/report.md) <(numbers results/wide/report.md)
for run in here/wide/runs/*; do
  cmp "$run/predictions.csv" "results/wide/runs/$(basename "$run")/predictions.csv"
done
echo "the same table, and the same predictions to the last byte"
