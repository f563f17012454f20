# lint.sh
#
# Fast checks of the sources that need no build. Each prints what is wrong, where,
# and what to do about it. Needs common.sh and stages.sh.

# The files under our rules: tracked or new, not ignored; without git, those of the source folders.
wlm_lint_files() {
	(
		cd "$WLM_TREE"
		git -c "safe.directory=$WLM_TREE" ls-files -co --exclude-standard 2>/dev/null ||
			find . -path ./.git -prune -o -path ./build -prune -o -type f -printf '%P\n'
	) | sort -u
}

wlm_lint_core_includes() {
	grep -nE '#[[:space:]]*include[[:space:]]*[<"]((pg/|postgres|fmgr|miscadmin|storage/|utils/|nodes/|executor/|commands/|catalog/|libpq))' \
		/dev/null "${cxx_core[@]}" && echo "src/core knows no PostgreSQL: hand plain structs across, see src/pg"
}

wlm_lint_file_length() {
	awk 'FNR == 601 { print FILENAME ": more than 600 lines"; bad = 1 } END { exit !bad }' /dev/null "${cxx[@]}" "${shell[@]}" &&
		echo "split the file: the aim is 300 lines, the limit 600"
}

wlm_lint_namespaces() {
	grep -nE '^[[:space:]]*using[[:space:]]+namespace' /dev/null "${cxx[@]}" && echo "name what is used; PostgreSQL's global names collide"
}

wlm_lint_unfinished() {
	grep -nwE 'TODO|FIXME|XXX|HACK' /dev/null "${cxx[@]}" && echo "finish it, or open an issue"
}

wlm_lint_whitespace() {
	grep -nE '[[:space:]]+$' /dev/null "${cxx[@]}" "${shell[@]}" && echo "remove the white space at the ends of lines"
}

wlm_lint_shell_syntax() {
	local file bad=1
	for file in "${shell[@]}"; do
		bash -n "$file" || bad=0
	done
	return "$bad"
}

# By hand and not by clang-format: its versions differ, and it cannot keep tables of declarations with their
# comments in one column. .clang-format is for editors.
wlm_lint_layout() {
	local file wrong
	wrong=$(
		# Spaces are for lining up what continues a line; a statement begins after tabs.
		awk '/^ +[^ *]/ && !/^  (public|protected|private):$/ && previous ~ /([{};:]|^)$/ {
				print FILENAME ":" FNR ": indent with tabs" }
			{ previous = $0 }' /dev/null "${cxx[@]}"
		for file in "${cxx[@]}"; do
			expand -t 4 "$file" | awk -v file="$file" 'length > 140 { print file ":" FNR ": " length " columns" }'
		done
	) || true
	[ -n "$wrong" ] && printf '%s\n' "$wrong" "tabs have 4 columns; lines have up to 120, never over 140"
}

# A check function succeeds when it found something.
wlm_stage_lint() {
	local files=() cxx=() cxx_core=() shell=() file check passed=0 failed=0
	mapfile -t files < <(wlm_lint_files)
	cd "$WLM_TREE"
	for file in "${files[@]}"; do
		[ -f "$file" ] || continue
		case $file in
			src/core/*.[ch]pp) cxx+=("$file") cxx_core+=("$file") ;;
			*.cpp | *.hpp) cxx+=("$file") ;;
			*.sh | tools/check | tools/demo | .ci/run) shell+=("$file") ;;
		esac
	done
	for check in core_includes file_length namespaces unfinished whitespace shell_syntax layout; do
		if "wlm_lint_$check"; then
			failed=$((failed + 1))
		else
			passed=$((passed + 1))
		fi
	done
	echo "$passed of $((passed + failed)) style checks passed on ${#files[@]} files"
	wlm_stage_result lint "$passed" "$failed" 0
}
