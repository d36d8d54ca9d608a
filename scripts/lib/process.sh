# shellcheck shell=bash
# Sourced by scripts/stack: processes by id, and ports. Wants $dir, the stack's directory, with log/ and pids in it.
#
# $dir/pids has a line for each process: name, process id, and when it started in the kernel's ticks, so that an id that
# was given to somebody else meanwhile is never taken for ours.

# When process $1 started; fails if there is none, or a dead one that nobody waited for.
start_time() {
    local stat
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    # The name in parentheses may hold spaces; behind it come the state and, 19 fields on, the start.
    local -a fields
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] && echo "${fields[19]}"
}

alive() { [ "$(start_time "$1" || true)" = "$2" ]; }

# start_in DIRECTORY NAME COMMAND…: in the background, in a session of its own, its output in $dir/log/NAME.
start_in() {
    local directory=$1 name=$2 pid started
    shift 2
    (cd "$directory" && exec setsid "$@") >"$dir/log/$name" 2>&1 </dev/null 9>&- &
    pid=$!
    started=$(start_time "$pid") || { say "$name ended at once:"; tail -20 "$dir/log/$name" >&2; return 1; }
    echo "$name $pid $started" >>"$dir/pids"
}

start() { start_in "$PWD" "$@"; }

# ready NAME COMMAND…: until the command succeeds, while NAME is alive, for 30 s.
ready() {
    local name=$1 deadline=$((SECONDS + 30)) pid started
    shift
    read -r pid started < <(sed -n "s/^$name //p" "$dir/pids")
    until "$@" >/dev/null 2>&1; do
        if ! alive "$pid" "$started"; then say "$name ended:"; tail -20 "$dir/log/$name" >&2; return 1; fi
        if [ $SECONDS -ge $deadline ]; then say "$name is not ready after 30 s:"; tail -20 "$dir/log/$name" >&2; return 1; fi
        sleep 0.1
    done
}

# answers URL PATTERN: 2xx, with a line like this.
answers() { curl --fail --silent --max-time 2 "http://$1" | grep -q -- "$2"; }

# Stops what is in $dir/pids, the last started first, and verifies it. SIGTERM is enough for each of them; what isn't gone
# after 10 s is killed. PostgreSQL is asked for a fast shutdown (SIGINT), for SIGTERM waits for its clients. The daemon has
# 30 s: it drains, asks sources that answer late, and stores its run.
stop_all() {
    local name pid started deadline patience
    while read -r name pid started; do
        # The guard may be who asked for this.
        if [ "$name" = guard ] && [ "${STACK_GUARD:-}" = "$pid" ]; then continue; fi
        alive "$pid" "$started" || continue
        if [ "$name" = postgres ]; then kill -INT "$pid"; else kill -TERM "$pid"; fi 2>/dev/null || true
        if [ "$name" = daemon ]; then patience=30; else patience=10; fi
        deadline=$((SECONDS + patience))
        while alive "$pid" "$started"; do
            if [ $SECONDS -ge $deadline ]; then
                say "$name does not end; killing it"
                kill -KILL "$pid" 2>/dev/null || true
                deadline=$((SECONDS + 10))
            fi
            sleep 0.05
        done
    done < <(tac "$dir/pids")
}

listening() {
    local hex; hex=$(printf '%04X' "$1")
    # Column 2 is the local address, column 4 the state; 0A is LISTEN.
    awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# reserve_ports VARIABLE…: a free port into each. They are handed out in turn, by a counter in /tmp, so that stacks that
# start at the same time get different ones; and below the range from which the kernel gives ports to clients.
reserve_ports() {
    local counter=/tmp/load-exporter-ports.$(id -u) next variable
    exec 9>>"$counter"
    flock 9
    read -r next <"$counter" || next=$((20000 + RANDOM % 10000))
    for variable; do
        next=$((next + 1))
        while [ $next -ge 30000 ] || [ $next -lt 20000 ] || listening "$next"; do
            next=$((next >= 29999 || next < 20000 ? 20000 : next + 1))
        done
        printf -v "$variable" %s "$next"
    done
    echo "$next" >"$counter"
    exec 9>&-
}
