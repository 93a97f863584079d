#!/usr/bin/env bash
# What `bipvl slurm` writes, submitted to the Slurm of Debian: `slurm.sh PROGRAM`.
#
# slurmctld, slurmd and munged run on one host, on loopback, in a folder of their own with their own key. Shards of a
# prediction, one of which fails and is run again; trainings that reach their time limit or are preempted, are queued
# again, and end with the weights of one that was not.
set -euo pipefail

program="$(realpath "$1")"
for needed in slurmctld slurmd munged sbatch; do
    if ! which "$needed" > /dev/null 2>&1; then
        if ! { [[ "$(id -u)" == 0 ]] && apt-get install -qq -y slurmctld slurmd slurm-client munge > /dev/null 2>&1; }; then
            echo "skipped: needs root, slurmctld, slurmd, slurm-client and munge"
            exit 0
        fi
    fi
done
if [[ "$(id -u)" != 0 ]]; then
    echo "skipped: slurmd needs root"
    exit 0
fi

folder="$(mktemp -d)"
engine="$folder/engine"
work="$folder/work"
mkdir -p "$engine"/{state,spool,log} "$work"
chmod 755 "$folder"
daemons=()

end() {
    local code=$?
    trap - ERR
    if ((code != 0)); then
        tail -n 30 "$engine"/log/* "$work"/*.log || true
    fi
    # The controller last, so that the others can tell it.
    for pid in "${daemons[@]}"; do
        kill "$pid" 2> /dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap end EXIT
trap 'echo "line $LINENO failed: $BASH_COMMAND"' ERR
set -E

# `until_true SECONDS COMMAND…`: waits for the command to succeed.
until_true() {
    local last=$((SECONDS + $1))
    shift
    until "$@"; do
        if ((SECONDS > last)); then
            echo "did not happen: $*"
            return 1
        fi
        sleep 0.2
    done
}

# A key of `scontrol show job`: `of_job JOB KEY`.
of_job() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
is_state() { [[ "$(of_job "$1" JobState)" == "$2" ]]; }
is_idle() { [[ "$(sinfo -h -o %T)" == idle ]]; }
is_empty() { [[ -z "$(squeue -h)" ]]; }
says() { grep -q "$2" "$1" 2> /dev/null; }
is_queued_again() { is_state "$1" PENDING && [[ "$(of_job "$1" Restarts)" == "$2" ]]; }

start_engine() {
    head -c 128 /dev/urandom > "$engine/munge.key"
    chmod 400 "$engine/munge.key"
    cat > "$engine/slurm.conf" << END
ClusterName=ci
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=46817
SlurmdPort=46818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$engine/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$engine/state
SlurmdSpoolDir=$engine/spool
SlurmctldPidFile=$engine/slurmctld.pid
SlurmdPidFile=$engine/slurmd.pid
SlurmctldLogFile=$engine/log/slurmctld
SlurmdLogFile=$engine/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
NodeName=localhost NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000
PartitionName=low Nodes=localhost Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes=localhost PriorityTier=10 PreemptMode=OFF
END
    export SLURM_CONF="$engine/slurm.conf"
    munged --foreground --key-file="$engine/munge.key" --socket="$engine/munge.socket" --pid-file="$engine/munged.pid" \
        --log-file="$engine/log/munged" --seed-file="$engine/munge.seed" 2> /dev/null &
    daemons+=($!)
    until_true 20 test -S "$engine/munge.socket"
    slurmd -D -N localhost 2> /dev/null &
    daemons=($! "${daemons[@]}")
    slurmctld -D 2> /dev/null &
    daemons+=($!)
    until_true 30 is_idle
}

# Slurm keeps a job that was queued again back for two minutes; nobody needs to wait for that here.
go_on() {
    until_true 90 is_queued_again "$1" "$2"
    scontrol update "JobId=$1" StartTime=now
}

shards() {
    mkdir scans
    cp demo/data/imagesTs/*.nii.gz scans
    mv scans/phantom_025.nii.gz whole.nii.gz
    head -c 1000 whole.nii.gz > scans/phantom_025.nii.gz
    "$program" slurm predict --shards 3 --cpus-per-task 1 --mem-gb 1 --time 5 --model demo/run --out labels scans > shards.sh
    sbatch --parsable shards.sh > /dev/null
    until_true 60 is_empty
    local said
    if said="$("$program" merge labels 2>&1)"; then
        echo "a shard with a broken scan did not fail"
        return 1
    fi
    echo "$said"
    # What the message says to do.
    local again
    again="$(sed -n 's/.*run these again: \(sbatch --array=[0-9,-]*\) job.sh$/\1/p' <<< "$said")"
    [[ "$again" == "sbatch --array=1" ]]
    cat labels/studies-1-of-3.jsonl
    mv whole.nii.gz scans/phantom_025.nii.gz
    $again shards.sh > /dev/null
    until_true 60 is_empty
    "$program" merge labels
    [[ "$(grep -c '"state":"done"' labels/studies-1-of-3.jsonl)" == 1 ]]
    "$program" predict --model demo/run --out one scans 2> /dev/null
    for file in one/*.nii.gz; do
        cmp "$file" "labels/$(basename "$file")"
    done
}

train_arguments=(--data demo/data --descriptions demo/descriptions.toml --config demo/config.toml)

trainings() {
    local job=(--cpus-per-task 1 --mem-gb 2)
    "$program" slurm train "${job[@]}" --time 1 --grace-s 30 --sbatch=--partition=high "${train_arguments[@]}" \
        --out long --steps 5000 > long.sh
    "$program" slurm train "${job[@]}" --time 10 "${train_arguments[@]}" --out preempted --steps 40 > preempted.sh
    local long preempted
    long="$(sbatch --parsable long.sh)"
    preempted="$(sbatch --parsable preempted.sh)"
    "$program" train --threads 1 "${train_arguments[@]}" --out whole --steps 40 > whole.log 2>&1 &
    local whole=$!

    until_true 60 says preempted/log.jsonl '"event":"step"'
    # Takes three of four CPUs, of which the other training has one, so that this one has to go.
    sbatch --partition=high --cpus-per-task=3 --mem=1G --time=1 --output=urgent.log --wrap 'echo urgent' > /dev/null
    go_on "$preempted" 1
    until_true 120 is_state "$preempted" COMPLETED
    says "bipvl-preempted-$preempted.log" "interrupted at step"
    wait "$whole"
    cmp preempted/last.safetensors whole/last.safetensors
    cmp preempted/best.safetensors whole/best.safetensors
    echo "preempted: $(grep -o 'interrupted at step [0-9]*' "bipvl-preempted-$preempted.log"), then the same weights"

    go_on "$long" 1
    until_true 60 is_state "$long" RUNNING
    says "bipvl-long-$long.log" "interrupted at step"
    local step
    step="$(sed -n 's/.*interrupted at step \([0-9]*\).*/\1/p' "bipvl-long-$long.log")"
    until_true 60 says long/log.jsonl "\"step\":$((step + 2))[,}]"
    # Steps are trained once, before or after the time limit.
    [[ "$(grep -c '"event":"step"' long/log.jsonl)" -ge $((step + 2)) ]]
    [[ -z "$(grep '"event":"step"' long/log.jsonl | grep -o '"step":[0-9]*' | sort | uniq -d)" ]]
    scancel "$long"
    until_true 60 is_state "$long" CANCELLED
    echo "time limit: interrupted at step $step, then step $((step + 1)); cancelled, and not queued again"
}

# Two processes by `srun --mpi=pmix`, stopped once, give what `mpirun` gives without a stop.
several_processes() {
    if ! which mpirun > /dev/null 2>&1 || ! ldd "$program" | grep -q libmpi; then
        echo "skipped: several processes need mpirun and a program with the feature mpi"
        return
    fi
    local job
    "$program" slurm train --ntasks 2 --cpus-per-task 1 --mem-gb 2 --time 10 "${train_arguments[@]}" --out two --steps 12 > two.sh
    job="$(sbatch --parsable two.sh)"
    until_true 60 says two/log.jsonl '"event":"step"'
    scancel --signal=TERM "$job"
    # Slurm takes some seconds to end the step, and would not start another one meanwhile.
    until_true 60 is_queued_again "$job" 1
    until_true 60 test ! -e "$engine/spool/stepd.slurm.pmix.$job.0"
    go_on "$job" 1
    until_true 120 is_state "$job" COMPLETED
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -n 2 --oversubscribe --bind-to none \
        "$program" train --threads 1 "${train_arguments[@]}" --out one_go --steps 12 > one_go.log 2>&1
    cmp two/last.safetensors one_go/last.safetensors
    echo "two processes: $(grep -o 'interrupted at step [0-9]*' "bipvl-two-$job.log"), then the weights of mpirun"
}

cd "$work"
start_engine
"$program" demo --channels --steps 2 --out demo > demo.log 2>&1
shards
trainings
several_processes
