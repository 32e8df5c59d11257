# What the other scripts ask of the machine they run on. Sourced, not run. Works with bash 3.2, as macOS has it.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# can_apt: whether missing tools can be installed here without asking anybody.
can_apt() { [ "$(id -u)" = 0 ] && have apt-get; }

# apt_install PACKAGE...: installs from the machine's own package lists, fetching them when they are missing or old.
# Says what it does; what apt itself says is shown only when it fails. A package that brings a service does not get it
# started: nobody asked for one, and its port may be somebody's.
apt_install() {
    local log failed=0
    say "Installing with apt-get: $*"
    log=$(mktemp)
    forbid_services
    if ! apt_lists_exist || ! apt_get install "$@" >"$log" 2>&1; then
        if ! { apt_get update && apt_get install "$@"; } >"$log" 2>&1; then
            cat "$log" >&2
            failed=1
        fi
    fi
    allow_services
    rm -f "$log"
    return "$failed"
}

# Debian asks this program before it starts, stops or restarts any service; 101 says no. One that is there already (in
# most container images, and it says no there too) is left alone: it is the machine's own rule.
policy=/usr/sbin/policy-rc.d
policy_is_ours=""

forbid_services() {
    [ ! -e "$policy" ] || return 0
    policy_is_ours=yes
    trap allow_services EXIT
    printf '#!/bin/sh\n# Put here by %s while it installs packages, and removed again.\nexit 101\n' "$0" >"$policy"
    chmod 755 "$policy"
}

allow_services() {
    [ -n "$policy_is_ours" ] || return 0
    rm -f "$policy"
    policy_is_ours=""
}

apt_lists_exist() { ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; }

apt_get() {
    local verb=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$verb" \
        --yes --no-install-recommends "$@" </dev/null
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# need_python: prints the Python to use: $PYTHON if set, else the first one on PATH that is 3.11 or newer.
need_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        is_python "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or newer."
        command -v "$PYTHON"
        return 0
    fi
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_python "$name"; then
            command -v "$name"
            return 0
        fi
    done
    fail "Treadle needs Python 3.11 or newer, and none was found on PATH. Install it (Debian: apt-get install python3" \
        "python3-venv), or say where it is: PYTHON=/path/to/python3"
}
