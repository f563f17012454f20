# build.sh
#
# Builds outside the source folders and installs into a staging folder, never
# into the system. Needs common.sh.

# WLM_ASSERT=1 builds with our own assertions. Servers and flavours have folders of
# their own, so that neither objects mix nor switching builds everything anew.
wlm_module_dir() { echo "$WLM_BUILD_DIR/module-$WLM_PG_VERSION${WLM_ASSERT:+-assert}"; }

# wlm_build_extension DESTDIR: builds the module and installs it below DESTDIR. Leaves in WLM_MAKE
# the command, for other targets of the same build.
wlm_build_extension() {
	local destdir=$1 dir log
	dir=$(wlm_module_dir)
	log=$dir.log
	mkdir -p "$dir"
	WLM_MAKE=(make -C "$dir" -f "$WLM_TREE/Makefile" --no-print-directory "PG_CONFIG=$WLM_PG_CONFIG"
		${WLM_ASSERT:+USE_ASSERT_CHECKING=1})
	if ! "${WLM_MAKE[@]}" -j "$WLM_JOBS" all >"$log" 2>&1 ||
		! "${WLM_MAKE[@]}" "DESTDIR=$destdir" install >>"$log" 2>&1; then
		wlm_build_failed "$log"
		echo "the module does not build; all output is in $log" >&2
		return 1
	fi
	grep -E 'warning:' "$log" | sort -u | head -n 20 || true
}

wlm_build_failed() {
	grep -nE ': (fatal )?error|undefined reference|No rule to make' "$1" | head -n 40 >&2 || true
	tail -n 3 "$1" >&2
}

# wlm_build_core NAME [CMAKE-ARGUMENT...]: builds CMakeLists.txt in $WLM_BUILD_DIR/NAME.
wlm_build_core() {
	local dir=$WLM_BUILD_DIR/$1 log=$WLM_BUILD_DIR/$1.log
	shift
	mkdir -p "$WLM_BUILD_DIR"
	if ! cmake -S "$WLM_TREE" -B "$dir" "$@" >"$log" 2>&1 ||
		! cmake --build "$dir" -j "$WLM_JOBS" >>"$log" 2>&1; then
		wlm_build_failed "$log"
		echo "${dir##*/} does not build; all output is in $log" >&2
		return 1
	fi
	grep -E 'warning:' "$log" | sort -u | head -n 20 || true
}
