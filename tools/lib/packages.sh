# packages.sh
#
# Installs what is missing on Debian, and touches nothing when nothing is missing.
# Needs common.sh.

# Server, client and headers must be of one minor version, so they are installed by one call.
wlm_postgresql_packages() {
	local version=$WLM_PG_VERSION
	echo "postgresql-$version postgresql-client-$version postgresql-server-dev-$version libpq-dev"
}
wlm_build_packages() {
	echo "g++ make cmake util-linux libeigen3-dev libxgboost-dev libgtest-dev libbenchmark-dev"
}
wlm_test_packages() {
	echo "postgresql-$WLM_PG_VERSION-pgtap libtap-parser-sourcehandler-pgtap-perl libipc-run-perl perl"
}

wlm_is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# wlm_install_packages [PACKAGE...]: these, or everything that tools/check and tools/demo need.
wlm_install_packages() {
	local wanted missing=() name
	command -v apt-get >/dev/null || wlm_die "this needs Debian's apt-get"
	if [ $# -gt 0 ]; then
		wanted=("$@")
	else
		read -r -a wanted <<<"$(wlm_postgresql_packages) $(wlm_build_packages) $(wlm_test_packages)"
	fi
	for name in "${wanted[@]}"; do
		wlm_is_installed "$name" || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	for name in $(wlm_postgresql_packages); do
		case " ${missing[*]} " in
			*" $name "*)
				read -r -a wanted <<<"$(wlm_postgresql_packages)"
				missing+=("${wanted[@]}")
				break ;;
		esac
	done
	read -r -a missing <<<"$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')"
	wlm_say "installing ${missing[*]}"
	wlm_apt_install "${missing[@]}"
}

# The server's package would create and start a cluster of its own; a drop-in read by
# pg_createcluster, there only meanwhile, prevents that.
wlm_apt_install() {
	local drop_in=/etc/postgresql-common/createcluster.d/pg_wlm_tools.conf log status=0
	log=$(mktemp)
	# One shell, so that the drop-in goes whatever happens and sudo is asked once.
	wlm_as_root env DEBIAN_FRONTEND=noninteractive bash -c '
		drop_in=$1; shift
		mkdir -p "${drop_in%/*}"
		trap "rm -f \"$drop_in\"; rmdir --ignore-fail-on-non-empty \"${drop_in%/*}\"" EXIT
		trap "exit 1" HUP INT TERM
		echo "create_main_cluster = false" > "$drop_in"
		apt-get -q -o DPkg::Lock::Timeout=300 update &&
		apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
	' wlm "$drop_in" "$@" </dev/null >"$log" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		wlm_die "could not install packages: $*"
	fi
	rm -f "$log"
}
