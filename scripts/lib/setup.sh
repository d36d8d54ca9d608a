# shellcheck shell=bash
# Sourced by the scripts beside it: finds cargo, installs what is missing. Debian 12, as root or with sudo.
#
# Installing must not disturb the machine: what is installed already is neither upgraded nor restarted, what is
# installed here is neither started nor enabled (the scripts start processes of their own, on ports of their own).

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# cargo may be installed without being on PATH, as in a non-login shell.
find_cargo() {
    command -v cargo >/dev/null && return
    local env=${CARGO_HOME:-$HOME/.cargo}/env
    # shellcheck disable=SC1090
    [ -f "$env" ] && . "$env"
    command -v cargo >/dev/null || die "cargo not found: install Rust (https://rustup.rs), or put cargo on PATH"
}

# The directory with PostgreSQL's server programs, which Debian keeps off PATH.
postgres_bin() {
    local newest
    newest=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    [ -n "$newest" ] && [ -x "$newest/postgres" ] && [ -x "$newest/initdb" ] && printf '%s\n' "$newest"
}

# Whether what a package is wanted for is there, however it came.
have() {
    case $1 in
        postgresql) postgres_bin >/dev/null ;;
        build-essential) command -v cc >/dev/null && command -v make >/dev/null ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        nodejs) command -v node >/dev/null ;;
        util-linux) command -v setpriv >/dev/null && command -v flock >/dev/null ;;
        ca-certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# need PACKAGE…: installs those that are missing, all at once.
need() {
    local missing=() package
    for package; do have "$package" || missing+=("$package"); done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them (this script knows Debian's apt-get only)"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        { command -v sudo >/dev/null && sudo -n true 2>/dev/null; } ||
            die "missing: ${missing[*]}; run as root or with sudo once, or: apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo -n)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" bash -s -- "${missing[@]}" <<'INSTALL' || die "could not install ${missing[*]}"
set -euo pipefail
exec 9>/var/lock/load-exporter-install.lock
flock 9
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 RUNLEVEL=1
# invoke-rc.d and deb-systemd-invoke ask this program; 101 means "don't start". A policy that is there is put back.
policy=/usr/sbin/policy-rc.d
saved=$policy.before-load-exporter
[ ! -e "$policy" ] || mv "$policy" "$saved"
restore() { rm -f "$policy"; [ ! -e "$saved" ] || mv "$saved" "$policy"; }
trap restore EXIT
trap 'exit 130' INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod +x "$policy"
log=$(mktemp)
run() { "$@" >"$log" 2>&1 </dev/null || { tail -30 "$log" >&2; rm -f "$log"; exit 1; }; }
run apt-get -o Acquire::Retries=3 -qq update
run apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends --no-upgrade install "$@"
rm -f "$log"
# Nor at the next boot.
if [ -d /run/systemd/system ]; then
    for package; do systemctl disable "$package.service" >/dev/null 2>&1 || true; done
fi
INSTALL
    for package in "${missing[@]}"; do have "$package" || die "$package was installed, but what it is wanted for is still missing"; done
}

# What the stack is made of.
stack_packages=(redis-server postgresql prometheus prometheus-redis-exporter prometheus-postgres-exporter prometheus-node-exporter curl util-linux)
