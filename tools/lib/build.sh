# build.sh
#
# Builds outside the source folders and installs into a staging folder, never
# into the system. Needs common.sh.

# wlm_module_make ARGUMENTS...: make in the module's build folder. The server's version is part of the name:
# objects for two servers must not mix.
wlm_module_make() {
	local dir=$WLM_BUILD_DIR/module-$WLM_PG_VERSION
	mkdir -p "$dir"
	make -C "$dir" -f "$WLM_TREE/Makefile" --no-print-directory PG_CONFIG="$WLM_PG_CONFIG" "$@"
}

# wlm_build_extension DESTDIR [VARIABLE=VALUE...]: builds the module and installs it below DESTDIR.
wlm_build_extension() {
	local destdir=$1 log=$WLM_BUILD_DIR/module-$WLM_PG_VERSION.log
	shift
	mkdir -p "$WLM_BUILD_DIR"
	if ! wlm_module_make -j "$WLM_JOBS" "$@" all >"$log" 2>&1 ||
		! wlm_module_make "$@" DESTDIR="$destdir" install >>"$log" 2>&1; then
		grep -nE 'error|Error|undefined' "$log" | head -n 40 >&2 || true
		tail -n 5 "$log" >&2
		wlm_die "the module does not build; all output is in $log"
	fi
	grep -E 'warning:' "$log" | sort -u | head -n 20 || true
}

# wlm_build_core NAME [CMAKE-ARGUMENT...]: builds CMakeLists.txt in $WLM_BUILD_DIR/NAME.
wlm_build_core() {
	local dir=$WLM_BUILD_DIR/$1 log=$WLM_BUILD_DIR/$1.log
	shift
	mkdir -p "$WLM_BUILD_DIR"
	if ! cmake -S "$WLM_TREE" -B "$dir" "$@" >"$log" 2>&1 ||
		! cmake --build "$dir" -j "$WLM_JOBS" >>"$log" 2>&1; then
		grep -nE 'error|Error|undefined' "$log" | head -n 40 >&2 || true
		tail -n 5 "$log" >&2
		echo "${dir##*/} does not build; all output is in $log" >&2
		return 1
	fi
	grep -E 'warning:' "$log" | sort -u | head -n 20 || true
}
