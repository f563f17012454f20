# common.sh
#
# Sourced first by tools/check and tools/demo: messages, the temporary folder,
# clean-up at any exit, and running things as the user that owns the servers.
#
# PostgreSQL refuses to run as root. When we are root, servers belong to the user
# postgres; otherwise to ourselves, and sudo is needed for missing packages only.

set -euo pipefail

WLM_TREE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
WLM_BUILD_DIR=${WLM_BUILD_DIR:-$WLM_TREE/build}
WLM_PG_VERSION=${WLM_PG_VERSION:-15}
WLM_PG_CONFIG=${WLM_PG_CONFIG:-/usr/lib/postgresql/$WLM_PG_VERSION/bin/pg_config}
WLM_JOBS=${WLM_JOBS:-$(nproc)}
WLM_TMP=
WLM_CHILD=

# A user's own connection settings and locale must not reach our servers and tests.
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGAPPNAME PGCLIENTENCODING
export LC_ALL=C.UTF-8
umask 022

wlm_say() { printf '== %s\n' "$*"; }
wlm_die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# wlm_as_root COMMAND...: directly or by sudo.
wlm_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		wlm_die "need root or sudo for: $*"
	fi
}

# wlm_as_server_user COMMAND...: from a folder that this user may enter.
wlm_as_server_user() (
	cd /
	if [ "$(id -u)" -eq 0 ]; then
		exec runuser -u postgres -- env HOME=/tmp "$@"
	fi
	exec "$@"
)

# wlm_own PATH...: gives paths to the user that owns the servers.
wlm_own() {
	if [ "$(id -u)" -eq 0 ]; then
		chown -R postgres: -- "$@"
	fi
}

# wlm_make_tmp: sets WLM_TMP to a new folder, removed at exit with every server in it.
# The path is short because socket names are limited to 107 bytes.
wlm_make_tmp() {
	WLM_TMP=$(mktemp -d "${TMPDIR:-/tmp}/pg_wlm.XXXXXX")
	chmod 755 "$WLM_TMP"
	trap wlm_clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# wlm_run SECONDS COMMAND...: runs a program (no function) without stdin and with a time limit, also that of
# WLM_DEADLINE (seconds since the start) if set. Waiting for a child in the background keeps Ctrl-C working: a
# shell takes a trap only between commands.
wlm_run() {
	local limit=$1 left status=0
	shift
	if [ -n "${WLM_DEADLINE:-}" ]; then
		left=$((WLM_DEADLINE > SECONDS ? WLM_DEADLINE - SECONDS : 1))
		limit=$((limit < left ? limit : left))
	fi
	timeout -k 20 "$limit" "$@" </dev/null &
	WLM_CHILD=$!
	wait "$WLM_CHILD" || status=$?
	WLM_CHILD=
	if [ "$status" -eq 124 ]; then
		echo "stopped after the time limit of $limit s: $*" >&2
	fi
	return "$status"
}

wlm_clean_up() {
	local status=$?
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	if [ -n "$WLM_CHILD" ]; then
		kill "$WLM_CHILD" 2>/dev/null
		wait "$WLM_CHILD" 2>/dev/null
	fi
	if declare -F wlm_on_exit >/dev/null; then
		wlm_on_exit
	fi
	if [ -n "$WLM_TMP" ]; then
		wlm_stop_servers_below "$WLM_TMP"
		cd /
		rm -rf -- "$WLM_TMP"
	fi
	exit "$status"
}

# Run to the end whatever happens: also servers that test scripts started and lost.
wlm_stop_servers_below() {
	local pid_file
	find "$1" -name postmaster.pid -type f 2>/dev/null | while read -r pid_file; do
		wlm_as_server_user "$(wlm_bindir)/pg_ctl" -D "${pid_file%/*}" -m immediate -w -t 30 stop >/dev/null 2>&1
	done
}

wlm_bindir() { echo "/usr/lib/postgresql/$WLM_PG_VERSION/bin"; }
