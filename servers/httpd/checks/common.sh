# Sourced by each check: its arguments are HTTPD ENGINE. Prepares a scratch directory, which is removed at the end, and
# has the functions that start httpd and read its log. The last line that a check prints is its result.
# shellcheck shell=bash
set -euo pipefail
httpd=$(realpath "$1") engine=$2
scratch=$(mktemp -d)
chmod 755 "$scratch"
log=$scratch/access.log
processes=()
trap 'kill "${processes[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT
cd "$scratch"
# Proxies of the environment do not reach the servers of the checks.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

skip() { echo "skipped: $*"; exit 0; }
fail() { printf 'FAILED: %s (%s): %s\n' "${0##*/}" "$engine" "$*" >&2; exit 1; }
# usage: expect WHAT EXPECTED ACTUAL
expect() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }

# need TOOL [PACKAGE]: installs the Debian package of a tool that is missing, or skips the check.
need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${2:-$1}"; } &>"$scratch/install" || true
    fi
    command -v "$1" >/dev/null || skip "$1 is not installed and cannot be installed"
}

# serve DIRECTORY [OPTION...]: starts httpd on a free port and waits for it. Sets $base, its URL without a slash.
serve() {
    local started=$scratch/started.${#processes[@]}
    : >"$started"
    "$httpd" --engine "$engine" -p 0 -b 127.0.0.1 --log-file "$log" "${@:2}" "$1" >"$started" 2>"$scratch/errors" &
    processes+=($!)
    until base=$(grep -oE 'http://127[^/]+' "$started"); do
        kill -0 $! 2>/dev/null || fail "httpd did not start: $(<"$scratch/errors")"
        sleep 0.05
    done
}

# quietly COMMAND...: shows what the command prints only if it fails.
quietly() { "$@" &>"$scratch/output" || { cat "$scratch/output" >&2; fail "$* ended with an error"; }; }

# expect_logged PATTERN [NUMBER]: waits until at least 1 or NUMBER lines of the access log match, because httpd logs
# after the response.
expect_logged() {
    for _ in {1..100}; do
        if [ "$(grep -cE -- "$1" "$log")" -ge "${2:-1}" ]; then return; fi
        sleep 0.05
    done
    tail -n 20 "$log" | cut -c 1-200 >&2
    fail "fewer than ${2:-1} lines of the access log match $1"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# await_port PORT: waits until a program listens.
await_port() {
    for _ in {1..100}; do
        if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    fail "no program listens on port $1"
}
