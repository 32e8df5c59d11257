# What the other scripts ask of the machine they run on. Sourced, not run. Works with bash 3.2, as macOS has it.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# can_apt: whether missing tools can be installed here without asking anybody.
can_apt() { [ "$(id -u)" = 0 ] && have apt-get; }

# apt_install PACKAGE...: installs from the machine's own package lists, fetching the lists when they are missing or old.
apt_install() {
    say "Installing with apt-get: $*"
    if ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 && apt_get install "$@"; then
        return 0
    fi
    apt_get update && apt_get install "$@"
}

apt_get() {
    local verb=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$verb" \
        --yes --no-install-recommends "$@" </dev/null >&2
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# find_python: prints the Python to use: $PYTHON if set, else the first one on PATH that is 3.11 or newer.
find_python() {
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
    return 1
}
