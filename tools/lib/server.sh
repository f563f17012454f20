# server.sh
#
# Throw-away PostgreSQL servers that load the extension from a staging folder.
# They listen on a Unix socket of their own only, so ports cannot collide. Needs common.sh.
#
#     wlm_start_server DIR [key=value...]     initdb below DIR (if new) and start
#     wlm_stop_server DIR [MODE]              stop it (fast); the data stay
#     wlm_use_server DIR                      point psql and the runners at it
#
# A stage made by wlm_build_extension is used when WLM_STAGE names it.
# WLM_SERVER_WRAPPER, an array, goes before the command that starts the server:
# it runs as the caller (often root), for example to enter a control group first.

WLM_STAGE=${WLM_STAGE:-}
WLM_SERVER_WRAPPER=()

# wlm_stage_settings: the lines of postgresql.conf that make a server see the stage (extension_control_path,
# before 18 Debian's extension_destdir, for control and script files, dynamic_library_path for the preloaded
# library, wlm.trainer for the program that it starts).
wlm_stage_settings() {
	if [ -n "$WLM_STAGE" ]; then
		if [ "$WLM_PG_VERSION" -ge 18 ]; then
			printf "extension_control_path = '%s:\$system'\n" "$WLM_STAGE$("$WLM_PG_CONFIG" --sharedir)"
		else
			printf "extension_destdir = '%s'\n" "$WLM_STAGE"
		fi
		printf "dynamic_library_path = '%s:\$libdir'\n" "$WLM_STAGE$("$WLM_PG_CONFIG" --pkglibdir)"
		printf "wlm.trainer = '%s'\n" "$WLM_STAGE$("$WLM_PG_CONFIG" --bindir)/pg_wlm_trainer"
	fi
}

# Locale C and no durability: the answers must not depend on the machine, and nothing here must survive it.
wlm_init_server() {
	local dir=$1
	mkdir -p "$dir/socket"
	wlm_own "$dir"
	wlm_as_server_user "$(wlm_bindir)/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C \
		--no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
}

# wlm_start_server DIR [key=value...]: later values of the same key win, also over an earlier start's.
wlm_start_server() {
	local dir=$1 setting value
	shift
	if [ ! -d "$dir/data" ]; then
		wlm_init_server "$dir" || return 1
		{
			echo "listen_addresses = ''"
			echo "unix_socket_directories = '$dir/socket'"
			echo "fsync = off"
			echo "synchronous_commit = off"
			echo "full_page_writes = off"
			echo "log_line_prefix = '%m [%p] %q%a %u@%d '"
		} >>"$dir/data/postgresql.conf"
	fi
	{
		wlm_stage_settings
		for setting in "$@"; do
			value=${setting#*=}
			printf "%s = '%s'\n" "${setting%%=*}" "${value//\'/\'\'}"
		done
	} >>"$dir/data/postgresql.conf"
	if ! "${WLM_SERVER_WRAPPER[@]}" "$BASH" -c "$(declare -f wlm_as_server_user); wlm_as_server_user \"\$@\"" wlm \
		"$(wlm_bindir)/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 120 start >"$dir/pg_ctl.log" 2>&1; then
		cat "$dir/pg_ctl.log" >&2
		tail -n 40 "$dir/server.log" >&2 || true
		echo "the server in $dir did not start" >&2
		return 1
	fi
}

wlm_stop_server() {
	local dir=$1 mode=${2:-fast}
	[ -f "$dir/data/postmaster.pid" ] || return 0
	wlm_as_server_user "$(wlm_bindir)/pg_ctl" -D "$dir/data" -m "$mode" -w -t 120 stop >"$dir/pg_ctl.log" 2>&1 ||
		wlm_as_server_user "$(wlm_bindir)/pg_ctl" -D "$dir/data" -m immediate -w -t 30 stop >>"$dir/pg_ctl.log" 2>&1
}

wlm_server_is_running() {
	wlm_as_server_user "$(wlm_bindir)/pg_ctl" -D "$1/data" status >/dev/null 2>&1
}

wlm_use_server() {
	export PGHOST=$1/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}
