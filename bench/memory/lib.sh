# lib.sh
#
# What the commands of bench/memory share. Sourced first by each of them; brings in tools/lib.

for part in common packages build server cgroup workload; do
	. "$(dirname -- "${BASH_SOURCE[0]}")/../../tools/lib/$part.sh"
done

# memory_usage: the comment at the head of the command.
memory_usage() { sed -n '3,/^$/s/^#\( \|$\)//p' "$0"; }

# memory_options NAMES ARGUMENT...: sets the variables of these names from --name VALUE; flags are names that end with "!".
memory_options() {
	local known=" $1 " name
	shift
	while [ $# -gt 0 ]; do
		name=${1#--}
		if [ "$1" = -h ] || [ "$1" = --help ]; then
			memory_usage
			exit 0
		elif [[ $1 != --* || $known != *" $name "* && $known != *" $name! "* ]]; then
			echo "unknown option $1" >&2
			memory_usage >&2
			exit 2
		elif [[ $known == *" $name! "* ]]; then
			printf -v "${name//-/_}" 1
			shift
		else
			[ $# -ge 2 ] || wlm_die "no value for $1"
			printf -v "${name//-/_}" %s "$2"
			shift 2
		fi
	done
}

# memory_path NAME...: variables that hold paths, made absolute.
memory_paths() {
	local name
	for name in "$@"; do
		[ -z "${!name}" ] || printf -v "$name" %s "$(realpath -m -- "${!name}")"
	done
}

# The extension in a stage of its own and, if asked for, the driver.
memory_build() {
	wlm_make_tmp
	mkdir "$WLM_TMP/out"
	server=$WLM_TMP/server
	wlm_say "building"
	[ "${1:-}" != driver ] || wlm_with_patience building wlm_build_driver
	WLM_STAGE=$WLM_TMP/stage
	wlm_with_patience building wlm_build_extension "$WLM_STAGE" || exit 1
}

# memory_start SETTING...: the server with the common settings (memory_clients sessions) and these.
memory_start() {
	wlm_common_settings "${memory_clients:-16}"
	wlm_start_server "$server" "${WLM_COMMON_SETTINGS[@]}" "$@" || wlm_die "the server did not start"
	wlm_use_server "$server"
	postmaster=$(head -n 1 "$server/data/postmaster.pid")
}

# memory_start_wlm DATABASE SETTING...: with pg_wlm in mode auto that has learned nothing yet, every setting of the bench at its default.
memory_start_wlm() {
	memory_database=$1
	shift
	memory_start shared_preload_libraries=pg_wlm "wlm.database=$memory_database" wlm.mode=auto wlm.grant_scope=operator wlm.elastic=on \
		wlm.need_factor=1 "$@"
	wlm_sql "$memory_database" -c 'SET client_min_messages = warning' -c 'DROP EXTENSION IF EXISTS pg_wlm CASCADE' \
		-c 'CREATE EXTENSION pg_wlm' -c "SELECT wlm.reset('all')" >/dev/null
}

# memory_stop: without what pg_wlm has learned, which it would read at the next start.
memory_stop() {
	if [ -n "$memory_database" ]; then
		wlm_sql "$memory_database" -c 'SET client_min_messages = warning' -c 'DROP EXTENSION IF EXISTS pg_wlm CASCADE' || true
	fi
	memory_database=
	wlm_stop_server "$server"
}
memory_database=

# Called by wlm_clean_up.
wlm_on_exit() {
	wlm_stop_ticker
	wlm_stop_servers_below "$WLM_TMP"
	wlm_remove_cgroup
	if [ -n "${keep:-}" ] && [ -d "$WLM_TMP/out" ]; then
		mkdir -p "$keep" && cp -- "$WLM_TMP"/out/* "$WLM_TMP"/server/server.log "$keep" 2>/dev/null
	fi
}
