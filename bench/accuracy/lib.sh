# lib.sh
#
# Sourced by bench/accuracy/run and models/make after tools/lib: building bench_accuracy and
# pg_wlm_trainer, outside of the source folders.

accuracy_packages() { echo "g++ make cmake util-linux libeigen3-dev libxgboost-dev"; }

# Sets accuracy_dir, with the programs in accuracy_bench and accuracy_trainer.
accuracy_build() {
	local log=$WLM_BUILD_DIR/accuracy.log
	accuracy_dir=$WLM_BUILD_DIR/accuracy
	mkdir -p "$WLM_BUILD_DIR"
	if ! cmake -S "$WLM_TREE" -B "$accuracy_dir" -DCMAKE_BUILD_TYPE=Release -DWLM_TESTS=OFF >"$log" 2>&1 ||
		! cmake --build "$accuracy_dir" -j "$WLM_JOBS" --target bench_accuracy pg_wlm_trainer >>"$log" 2>&1; then
		wlm_build_failed "$log"
		wlm_die "bench_accuracy does not build; all output is in $log"
	fi
	accuracy_bench=$accuracy_dir/bench/accuracy/bench_accuracy
	accuracy_trainer=$accuracy_dir/pg_wlm_trainer
}

# Arguments for a report that others read: of paths only the last part.
accuracy_arguments() {
	local argument
	for argument in "$@"; do
		case $argument in
			/*) printf ' %s' "${argument##*/}" ;;
			*) printf ' %s' "$argument" ;;
		esac
	done
}

accuracy_commit() {
	local commit
	commit=$(git -C "$WLM_TREE" rev-parse --short HEAD 2>/dev/null) || commit=unknown
	git -C "$WLM_TREE" diff --quiet HEAD 2>/dev/null || commit+=' with changes'
	echo "$commit"
}

accuracy_machine() {
	local processor memory
	processor=$(sed -n '0,/^model name/s/^model name[^:]*: //p' /proc/cpuinfo)
	memory=$(awk '/^MemTotal/ {printf "%d MB", $2 / 1024}' /proc/meminfo)
	echo "$(nproc) cores, $processor, $memory, kernel $(uname -r)"
}
