# stages.sh
#
# The stages of tools/check. Each writes all its output to a log, prints its
# runner's closing lines, and calls wlm_stage_result with what it counted. A stage
# that ran nothing, or whose runner failed for another reason, counts as failed.
# Needs the other files of this folder.

WLM_TESTDB=contrib_regression   # the Makefile's, and wlm.database of the server
WLM_RESULTS=()
WLM_PASSED=0
WLM_FAILED=0
WLM_BUILD_FAILED=

# wlm_stage_result NAME PASSED FAILED RUNNER_STATUS
wlm_stage_result() {
	local name=$1 passed=$2 failed=$3 status=$4
	if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then
		if [ "$status" -eq 124 ]; then
			echo "$name: stopped after its time limit"
		elif [ "$passed" -eq 0 ]; then
			echo "$name: no test ran"
		else
			echo "$name: the runner ended with status $status"
		fi
		failed=1
	fi
	WLM_PASSED=$((WLM_PASSED + passed))
	WLM_FAILED=$((WLM_FAILED + failed))
	WLM_RESULTS+=("$(printf '%-10s %5d passed, %d failed' "$name" "$passed" "$failed")")
}

# wlm_number REGEX FILE: the first group of the last line that matches, or 0.
wlm_number() {
	local found
	found=$(sed -nE "s/.*$1.*/\\1/p" "$2" | tail -n 1)
	echo "${found:-0}"
}

# wlm_ctest NAME [CMAKE-ARGUMENT...]
wlm_ctest() {
	local name=$1 log=$WLM_TMP/$1.log status=0 failed=0 total=0
	shift
	: >"$log"
	if wlm_build_core "$name-core" -DWLM_BENCH=OFF "$@"; then
		wlm_run 900 ctest --test-dir "$WLM_BUILD_DIR/$name-core" -j "$WLM_JOBS" --output-on-failure --timeout 600 \
			>"$log" 2>&1 || status=$?
		failed=$(wlm_number '([0-9]+) tests? failed out of' "$log")
		total=$(wlm_number 'tests? failed out of ([0-9]+)' "$log")
		if [ "$status" -ne 0 ]; then
			grep -vE '^ +Start +[0-9]+:|[.]+ +Passed +[0-9.]+ sec' "$log" | head -n 200 || true
		else
			sed -nE '/tests passed/,$p' "$log"
		fi
	else
		status=1
	fi
	wlm_stage_result "$name" $((total - failed)) "$failed" "$status"
}

wlm_stage_unit() { wlm_ctest unit; }

# ASan cannot be preloaded into the packaged server, so memory errors are looked for in core only.
wlm_stage_sanitize() {
	wlm_ctest sanitize -DWLM_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo
}

wlm_need_stage() {
	[ -z "$WLM_STAGE" ] || return 0
	if [ -n "$WLM_BUILD_FAILED" ]; then
		echo "the module does not build"
		return 1
	fi
	wlm_say "building the module"
	if ! wlm_build_extension "$WLM_TMP/stage"; then
		WLM_BUILD_FAILED=1
		return 1
	fi
	WLM_STAGE=$WLM_TMP/stage
	install -m 644 "$WLM_TREE/tools/lib/test-server.conf" "$WLM_TMP/test-server.conf"
}

# One server for pg_regress, isolation and pgTAP, started again if a stage brought it down.
wlm_need_server() {
	wlm_need_stage || return 1
	wlm_server_is_running "$WLM_TMP/server" ||
		wlm_start_server "$WLM_TMP/server" "include=$WLM_TMP/test-server.conf" \
			shared_preload_libraries=pg_wlm "wlm.database=$WLM_TESTDB" || return 1
	wlm_use_server "$WLM_TMP/server"
	WLM_LOG_START=$(wc -l <"$WLM_TMP/server/server.log")
}

# wlm_check_server_log: fails when the stage crashed a process of the server, even if no test noticed.
wlm_check_server_log() {
	local news=$WLM_TMP/server-news.log
	tail -n +$((WLM_LOG_START + 1)) "$WLM_TMP/server/server.log" >"$news"
	if grep -qE 'was terminated by signal|PANIC:|TRAP:' "$news"; then
		echo "the server crashed:"
		grep -nE -B 15 -A 3 'was terminated by signal|PANIC:|TRAP:' "$news" | head -n 80
		return 1
	fi
}

wlm_show_server_log() {
	echo "last lines of the server's log:"
	tail -n +$((WLM_LOG_START + 1)) "$WLM_TMP/server/server.log" | tail -n 40
}

# wlm_pg_regress NAME DIFFS MAKE-ARGUMENT...: one of the two suites of `make installcheck`.
wlm_pg_regress() {
	local name=$1 log=$WLM_TMP/$1.log diffs=$(wlm_module_dir)/$2 status=0 passed failed
	shift 2
	if ! wlm_need_server; then
		wlm_stage_result "$name" 0 1 1
		return 0
	fi
	rm -f "$diffs"
	wlm_run 900 "${WLM_MAKE[@]}" TAP_TESTS= "$@" installcheck >"$log" 2>&1 || status=$?
	passed=$(grep -cE '^(test .*[.]{3} ok|ok [0-9])' "$log" || true)
	failed=$(grep -cE '^(test .*[.]{3} FAILED|not ok [0-9])' "$log" || true)
	wlm_check_server_log || status=1
	grep -E '^(test .*[.]{3} FAILED|not ok [0-9])' "$log" || true
	if [ "$status" -ne 0 ]; then
		[ ! -s "$diffs" ] || head -n 200 "$diffs"
		[ "$failed" -ne 0 ] || tail -n 20 "$log"
		wlm_show_server_log
	fi
	grep -E '^[ #]*(All [0-9]+ tests? passed|[0-9]+ of [0-9]+ tests? failed)' "$log" || true
	wlm_stage_result "$name" "$passed" "$failed" "$status"
}

wlm_stage_regress() { wlm_pg_regress regress regression.diffs ISOLATION=; }
wlm_stage_isolation() { wlm_pg_regress isolation output_iso/regression.diffs REGRESS=; }

# wlm_count_tap NAME STATUS: counts a `prove -v` log and prints its summary.
wlm_count_tap() {
	local name=$1 status=$2 log=$WLM_TMP/$1.log passed failed
	passed=$(grep -cE '^(ok [0-9]+|not ok [0-9]+.*# TODO)' "$log" || true)
	failed=$(grep -E '^not ok [0-9]+' "$log" | grep -cv '# TODO' || true)
	if [ "$status" -ne 0 ]; then
		grep -E -A 8 '^(not ok|#  +(Failed|at )|Bail out|psql:|ERROR|Dubious)' "$log" | head -n 150 || true
		[ "$failed" -gt 0 ] || tail -n 15 "$log"
	fi
	sed -nE '/^(All tests successful|Test Summary Report)/,$p' "$log" | head -n 60 || true
	wlm_stage_result "$name" "$passed" "$failed" "$status"
}

wlm_stage_pgtap() {
	local log=$WLM_TMP/pgtap.log status=0 files=()
	if ! wlm_need_server; then
		wlm_stage_result pgtap 0 1 1
		return 0
	fi
	shopt -s nullglob
	files=("$WLM_TREE"/test/pgtap/*.sql)
	shopt -u nullglob
	: >"$log"
	if [ ${#files[@]} -gt 0 ]; then
		"$(wlm_bindir)/psql" -Xq -v ON_ERROR_STOP=1 >"$log" 2>&1 <<-SQL || status=$?
			SET client_min_messages = warning;
			DROP DATABASE IF EXISTS $WLM_TESTDB WITH (FORCE);
			CREATE DATABASE $WLM_TESTDB TEMPLATE template0;
			\\connect $WLM_TESTDB
			CREATE EXTENSION pgtap;
			CREATE EXTENSION pg_wlm;
		SQL
		if [ "$status" -ne 0 ]; then
			cat "$log"
		else
			wlm_run 600 env -C "$WLM_TREE" pg_prove -v --psql-bin "$(wlm_bindir)/psql" --ext .sql -d "$WLM_TESTDB" \
				"${files[@]#"$WLM_TREE"/}" >"$log" 2>&1 || status=$?
		fi
		wlm_check_server_log || status=1
		[ "$status" -eq 0 ] || wlm_show_server_log
	fi
	wlm_count_tap pgtap "$status"
}

# PostgreSQL::Test::Cluster starts servers, so these run as their owner in a copy of the tree that it may read.
wlm_stage_tap() {
	local copy=$WLM_TMP/tap perl files=() runner=()
	local log=$WLM_TMP/tap.log status=0
	if ! wlm_need_stage; then
		wlm_stage_result tap 0 1 1
		return 0
	fi
	perl=$(cd "$(dirname "$("$WLM_PG_CONFIG" --pgxs)")/../test" && pwd)
	mkdir -p "$copy/work"
	tar -C "$WLM_TREE" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$copy" -xf -
	{
		wlm_stage_settings
		cat "$WLM_TMP/test-server.conf"
	} >"$WLM_TMP/tap.conf"
	chmod 644 "$WLM_TMP/tap.conf"
	wlm_own "$copy"
	: >"$log"
	shopt -s nullglob
	files=("$copy"/test/tap/*.pl)
	shopt -u nullglob
	if [ ${#files[@]} -gt 0 ]; then
		[ "$(id -u)" -ne 0 ] || runner=(runuser -u postgres --)
		# TESTDIR up to 15, the two others from 16 on
		wlm_run 2400 env -C "$copy" "${runner[@]}" env HOME="$copy/work" TESTDIR="$copy/work" \
			TESTDATADIR="$copy/work/tmp_check" TESTLOGDIR="$copy/work/tmp_check/log" PGPORT=65432 \
			PATH="$(wlm_bindir):$PATH" PERL5LIB="$perl/perl${PERL5LIB:+:$PERL5LIB}" \
			PG_REGRESS="$perl/regress/pg_regress" TEMP_CONFIG="$WLM_TMP/tap.conf" PG_TEST_TIMEOUT_DEFAULT=180 \
			prove -v --timer "${files[@]#"$copy"/}" >"$log" 2>&1 || status=$?
		if [ "$status" -ne 0 ]; then
			wlm_show_tap_logs "$copy/work/tmp_check/log"
		fi
	fi
	wlm_count_tap tap "$status"
}

# What the nodes of failed scripts said last: crashes first.
wlm_show_tap_logs() {
	local log
	for log in "$1"/*.log; do
		[ -f "$log" ] || continue
		if grep -qE 'signal (6|11)|PANIC:|TRAP:|FATAL:.*(load|configuration)' "$log"; then
			echo "--- ${log##*/}"
			grep -E -B 5 -A 2 'signal (6|11)|PANIC:|TRAP:|FATAL:.*(load|configuration)' "$log" | head -n 30
		fi
	done
}
