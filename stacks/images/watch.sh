#!/bin/sh
# Run a balancer, and have it read its configuration anew when the folder that holds it changes.
#
#   watch.sh nginx|haproxy [CONFIG [SCRATCH]]
#
# CONFIG is a flat folder: nginx.conf or haproxy.cfg and the files that these name. The balancer runs a copy of it, in
# SCRATCH, that has passed the program's own test; a copy that fails is never applied. A change counts when the folder has
# been still for a second. Signals go to the balancer, and this script ends when it does, as it does.
#
# It says `watch: runs SUM` of what it applied, and every minute `watch: refuses SUM` of what it did not (stacks/watched.py).
set -u

say() {
    echo "watch: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# A shell reads a function before it runs it: this file may be replaced meanwhile.
main() {
    config=${2-/etc/veloz/balancer}
    scratch=${3-/run/balancer}
    case ${1-} in
        nginx) file=nginx.conf test=-t reload=HUP stops=' TERM INT QUIT ' ;;
        haproxy) file=haproxy.cfg test=-c reload=USR2 stops=' TERM INT USR1 ' ;;
        *) fail "usage: watch.sh nginx|haproxy [CONFIG [SCRATCH]]" ;;
    esac
    kind=$1
    balancer=
    watcher=
    stopper=
    for signal in TERM INT QUIT USR1 USR2 HUP; do
        # shellcheck disable=SC2064 # the signal's name is filled in now
        trap "forward $signal" "$signal"
    done
    umask 077 # a copied key is for this user alone

    [ -f "$config/$file" ] || fail "there is no $config/$file; put the balancer's configuration there"
    running=$(state "$config")
    copy || fail "$config cannot be copied to $scratch, see above"
    (run next "$test") || fail "$config/$file fails the test above; nothing was started"
    apply
    tell runs "$running"
    run current &
    balancer=$!
    watch &
    watcher=$!
    await "$balancer"
    kill "$watcher" "${stopper:-$watcher}" 2>/dev/null
    exit "$status"
}

# shellcheck disable=SC2329 # the traps call it
forward() {
    [ -n "$balancer" ] || exit 1
    kill -s "$1" "$balancer" 2>/dev/null
    case $stops in
        *" $1 "*) ;;
        *) return ;;
    esac
    # Nothing is reloaded any more, and the signal is repeated: HAProxy was seen to lose one that met it in a reload.
    if [ -z "$stopper" ] && [ -n "$watcher" ]; then
        kill "$watcher" 2>/dev/null
        repeat "$1" &
        stopper=$!
    fi
}

# shellcheck disable=SC2329 # forward calls it
repeat() {
    while sleep 1; do
        kill -s "$1" "$balancer" 2>/dev/null || break
    done
}

# Become the balancer on a copy of the configuration, or its test.
run() {
    copied=$scratch/$1/$file
    shift
    case $kind in
        nginx) exec nginx -e stderr -p "$scratch" -c "$copied" "$@" ;;
        haproxy) exec haproxy -W -db -f "$copied" "$@" ;;
    esac
}

# The sum of a folder's sums, and what became of it.
tell() {
    sum=$(printf '%s\n' "$2" | sha256sum)
    say "$1 ${sum%% *}"
}

# What a folder holds: the sums of its files. For one that cannot be read, the words that say so.
state() (
    cd "$1" || exit
    export LC_ALL=C # for the order
    set --
    for name in *; do
        if [ -f "$name" ]; then
            set -- "$@" "$name"
        fi
    done
    sha256sum -- "$@" 2>&1 </dev/null
)

copy() {
    rm -rf "$scratch/next"
    mkdir -p "$scratch/next" || return
    for path in "$config"/*; do
        if [ -f "$path" ]; then
            cp -L -- "$path" "$scratch/next/" || return
        fi
    done
}

apply() {
    rm -rf "$scratch/current"
    mv "$scratch/next" "$scratch/current"
}

# `running` is what runs, `tried` what was tried last, `seen` what was there a second ago.
watch() {
    tried=$running
    seen=$running
    seconds=0
    while sleep 1; do
        now=$(state "$config")
        seconds=$((seconds + 1))
        if [ "$now" = "$seen" ] && [ "$now" != "$tried" ]; then
            try
        elif [ "$now" = "$tried" ] && [ "$now" != "$running" ] && [ "$seconds" -ge 60 ]; then
            refuse
        fi
        seen=$now
    done
}

refuse() {
    tell refuses "$now"
    seconds=0
}

try() {
    tried=$now
    if [ "$now" = "$running" ]; then
        say "$config is again what runs"
        tell runs "$running"
    elif ! copy; then
        say "$config cannot be copied to $scratch, see above; what runs goes on"
        refuse
    elif [ "$(state "$scratch/next")" != "$now" ]; then
        tried= # it changed while it was copied
    elif ! (run next "$test"); then
        say "$config/$file fails the test above; what runs goes on"
        refuse
    else
        apply
        running=$now
        kill -s "$reload" "$balancer" && say "$config has changed and is read anew" && tell runs "$running"
    fi
}

# Wait for the end of a child; `status` is its exit status. A signal that is forwarded interrupts the wait.
await() {
    while :; do
        wait "$1"
        status=$?
        kill -0 "$1" 2>/dev/null || break
    done
    # Some shells learn of the end between wait and kill, and then still know the status.
    wait "$1" 2>/dev/null
    again=$?
    [ "$again" -eq 127 ] || status=$again
}

main "$@"
