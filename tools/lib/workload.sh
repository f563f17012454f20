# workload.sh
#
# What tools/demo and bench/memory share: the driver, the retail data, and saying that a long step goes on.
# Needs common.sh, build.sh and server.sh. The server in use is WLM_TMP/server.

WLM_TEMPLATES=$WLM_TREE/bench/retail/templates
WLM_DRIVER=
WLM_TICKER=

# wlm_workload_packages: what building the driver and the module and running them needs.
wlm_workload_packages() { echo "$(wlm_postgresql_packages) g++ make cmake util-linux libeigen3-dev"; }

wlm_stop_ticker() {
	[ -n "$WLM_TICKER" ] || return 0
	kill "$WLM_TICKER" 2>/dev/null || true
	wait "$WLM_TICKER" 2>/dev/null || true
	WLM_TICKER=
}

# wlm_with_patience WHAT COMMAND...: prints a line every few seconds while a long step says nothing.
wlm_with_patience() {
	local what=$1 started=$SECONDS status=0
	shift
	(
		while sleep 1 && kill -0 $$ 2>/dev/null; do
			[ $(((SECONDS - started) % 5)) -ne 0 ] || echo "   $what, $((SECONDS - started)) s"
		done
	) &
	WLM_TICKER=$!
	"$@" || status=$?
	wlm_stop_ticker
	return "$status"
}

wlm_build_driver() {
	local dir=$WLM_BUILD_DIR/bench log=$WLM_BUILD_DIR/bench.log
	mkdir -p "$WLM_BUILD_DIR"
	if ! cmake -S "$WLM_TREE/bench" -B "$dir" >"$log" 2>&1 ||
		! cmake --build "$dir" -j "$WLM_JOBS" --target bench_driver >>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		wlm_die "the driver does not build; all output is in $log"
	fi
	WLM_DRIVER=$dir/bench_driver
	[ -x "$WLM_DRIVER" ] || wlm_die "the driver was not built: libpq is missing"
}

# wlm_sql DATABASE PSQL-ARGUMENT...
wlm_sql() {
	local database=$1
	shift
	wlm_run 900 psql -X -q -v ON_ERROR_STOP=1 -d "$database" "$@"
}

# wlm_load_retail THOUSAND_SALES: into the server in use.
wlm_load_retail() {
	wlm_sql postgres -c 'CREATE DATABASE retail'
	wlm_sql retail -f "$WLM_TREE/bench/retail/schema.sql"
	wlm_with_patience loading wlm_sql retail -v "rows=$(($1 * 1000))" -f "$WLM_TREE/bench/retail/load.sql"
	wlm_sql retail -f "$WLM_TREE/bench/retail/staging.sql"
}

# The same for every system. JIT is off for all: its code is memory that work_mem does not govern, some 20 MB for each
# connection. The log says who wrote temporary files; statements are left out of it.
wlm_common_settings() { # CLIENTS
	WLM_COMMON_SETTINGS=(
		work_mem=4MB shared_buffers=128MB jit=off "max_connections=$(($1 + 20))" max_wal_size=4GB checkpoint_timeout=1h
		log_temp_files=0 'log_line_prefix=%n %p %P|' log_min_error_statement=panic log_checkpoints=off shared_preload_libraries=
	)
}

wlm_run_driver() { # SECONDS COMMAND OPTION...
	local limit=$1
	shift
	PGDATABASE=retail wlm_run "$limit" "$WLM_DRIVER" "$@"
}

# "name: value" lines about the machine, for the head of a report.
wlm_machine_notes() {
	echo "postgresql: $("$("$WLM_PG_CONFIG" --bindir)/postgres" --version)"
	echo "cores: $(nproc)"
	echo "cpu: $(sed -n '0,/^model name/s/^model name[^:]*: //p' /proc/cpuinfo)"
	echo "memory: $(awk '/^MemTotal/ {printf "%d MB", $2 / 1024}' /proc/meminfo)"
	echo "kernel: $(uname -r)"
}
