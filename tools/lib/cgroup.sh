# cgroup.sh
#
# A memory control group (version 1 or 2) for throw-away servers, where the machine allows one. Needs common.sh.
#
#     wlm_make_cgroup LIMIT_MB [PREFIX]       0: none; sets WLM_CGROUP (its folder, or empty) and WLM_CGROUP_NOTE
#     wlm_enter_cgroup                        servers started from now on run in it
#     wlm_leave_cgroup                        servers started from now on do not
#     wlm_remove_cgroup                       when its last process has gone; call it in wlm_on_exit
#     wlm_cgroup_oom_kills                    processes that the kernel killed in it so far

WLM_CGROUP=
WLM_CGROUP_NOTE=
WLM_CGROUP_PARENT=     # where we switched the memory controller on, version 2

# wlm_try_cgroup DIR LIMIT-FILE LIMIT_MB: makes it and moves a process in, to see that both work.
wlm_try_cgroup() {
	local limit=$(($3 * 1024 * 1024))
	mkdir "$1" 2>/dev/null || return 1
	if echo "$limit" >"$1/$2" && [ "$(<"$1/$2")" -eq "$limit" ] && "$BASH" -c 'echo $$ >"$1"' move "$1/cgroup.procs"; then
		WLM_CGROUP=$1
		return 0
	fi 2>/dev/null
	rmdir "$1"
	return 1
}

# Swap would hide the limit.
wlm_without_swap() {
	local file
	for file in "$@"; do
		[ ! -w "$WLM_CGROUP/${file%%=*}" ] || echo "${file#*=}" >"$WLM_CGROUP/${file%%=*}" 2>/dev/null || true
	done
}

wlm_make_cgroup() {
	local limit=$1 name=${2:-pg_wlm}.$$ own mount parent
	if [ "$limit" -eq 0 ]; then
		WLM_CGROUP_NOTE='none (--limit 0)'
		return
	fi
	WLM_CGROUP_NOTE='none: needs root and a memory controller that may be used'
	[ "$(id -u)" -eq 0 ] || return 0

	# Version 1: below our own group, or at the top where a container hides it.
	while read -r _ mount _ options _; do
		case ",$options," in *,memory,*) ;; *) continue ;; esac
		own=$(sed -n 's/^[0-9]*:[^:]*\bmemory\b[^:]*://p' /proc/self/cgroup)
		for parent in "$mount${own%/}" "$mount"; do
			if wlm_try_cgroup "$parent/$name" memory.limit_in_bytes "$limit"; then
				wlm_without_swap memory.swappiness=0
				WLM_CGROUP_NOTE="version 1, limit $limit MB"
				return
			fi
		done
	done < <(awk '$3 == "cgroup"' /proc/mounts)

	# Version 2: a group with processes cannot have children with controllers, so not below our own.
	while read -r _ mount _; do
		own=$(sed -n 's/^0:://p' /proc/self/cgroup)
		for parent in "$mount" "$mount${own%/*}"; do
			grep -qw memory "$parent/cgroup.controllers" 2>/dev/null || continue
			if ! grep -qw memory "$parent/cgroup.subtree_control"; then
				echo +memory >"$parent/cgroup.subtree_control" 2>/dev/null || continue
				WLM_CGROUP_PARENT=$parent
			fi
			if wlm_try_cgroup "$parent/$name" memory.max "$limit"; then
				wlm_without_swap memory.swap.max=0
				WLM_CGROUP_NOTE="version 2, limit $limit MB"
				return
			fi
		done
	done < <(awk '$3 == "cgroup2"' /proc/mounts)
}

# As PostgreSQL's documentation advises, the kernel may kill a backend but not the postmaster, so that a server
# that exceeds the limit restarts and does not vanish.
wlm_enter_cgroup() {
	[ -n "$WLM_CGROUP" ] || return 0
	# shellcheck disable=SC2016
	WLM_SERVER_WRAPPER=("$BASH" -c 'echo $$ >"$0/cgroup.procs" || exit 1
		if echo -1000 >/proc/self/oom_score_adj; then
			export PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0
		fi 2>/dev/null
		exec "$@"' "$WLM_CGROUP")
}

wlm_leave_cgroup() { WLM_SERVER_WRAPPER=(); }

wlm_remove_cgroup() {
	local attempt
	if [ -n "$WLM_CGROUP" ]; then
		for attempt in 1 2 3 4 5 6 7 8 9 10; do
			! rmdir "$WLM_CGROUP" 2>/dev/null || break
			[ "$attempt" -lt 10 ] || echo "could not remove $WLM_CGROUP" >&2
			sleep 0.3
		done
	fi
	if [ -n "$WLM_CGROUP_PARENT" ]; then
		echo -memory >"$WLM_CGROUP_PARENT/cgroup.subtree_control" 2>/dev/null
	fi
	return 0
}

wlm_cgroup_oom_kills() {
	local file kills=
	for file in memory.events memory.oom_control; do
		[ -z "$WLM_CGROUP" ] || [ ! -r "$WLM_CGROUP/$file" ] || kills=$(sed -n 's/^oom_kill //p' "$WLM_CGROUP/$file")
		[ -z "$kills" ] || break
	done
	echo "${kills:-0}"
}
