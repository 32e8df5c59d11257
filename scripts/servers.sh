# The servers that tests and comparisons start for themselves. Sourced after machine.sh.

# Debian keeps PostgreSQL's programs off PATH, and PgBouncer where only root's PATH looks.
has_server() {
    case $1 in
        postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || have initdb ;;
        pgbouncer) have pgbouncer || [ -x /usr/sbin/pgbouncer ] ;;
        *) have "$1" ;;
    esac
}

missing_servers() {
    local package
    for package in "$@"; do
        has_server "$package" || echo "$package"
    done
}

# need_servers PACKAGE...: installs what is missing where that can be done without asking, or says how.
need_servers() {
    local missing
    missing=$(missing_servers "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086  # one word a package
    if can_apt && without_cluster apt_install $missing && [ -z "$(missing_servers "$@")" ]; then
        return 0
    fi
    # shellcheck disable=SC2086  # on one line
    fail "Servers are started for this, and their programs are not there:" $missing"." \
        "Debian and Ubuntu: sudo apt-get install" $missing"; macOS: brew install postgresql@18 redis pgbouncer," \
        "with PostgreSQL's bin folder on PATH."
}

# without_cluster COMMAND...: Debian's package makes a cluster of its own with PostgreSQL, which would start with the
# machine and which nobody asked for. A settings file says not to; one that is there already is the machine's own.
without_cluster() {
    local settings=/etc/postgresql-common/createcluster.conf status=0
    if [ -e "$settings" ]; then
        "$@"
        return
    fi
    mkdir -p "${settings%/*}"
    echo "create_main_cluster = false" >"$settings"
    "$@" || status=1
    rm -f "$settings"
    return "$status"
}
