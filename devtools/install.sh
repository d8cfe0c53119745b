# Sourced by ./dev: makes sure that the packages of a list in devtools/ are installed: packages.txt, unless told otherwise.
#
# Installs only what is missing, with apt-get (sudo when not root). No service is started while packages are
# unpacked (a policy-rc.d that exists only for that moment), and no PostgreSQL cluster of the system is made.

rap_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$RAP_ROOT/devtools/$1" | awk '{print $1}'; }

rap_missing_packages() {
  rap_packages "$2" | sort > "$1/wanted"
  # shellcheck disable=SC2046
  dpkg-query -W -f='${db:Status-Status} ${Package}\n' $(cat "$1/wanted") 2>/dev/null |
    awk '$1 == "installed" {print $2}' | sort -u > "$1/have"
  comm -23 "$1/wanted" "$1/have"
}

rap_install() {
  local tmp missing
  tmp=$(mktemp -d)
  missing=$(rap_missing_packages "$tmp" "${1:-packages.txt}")
  rm -rf "$tmp"
  [ -z "$missing" ] && return 0
  command -v apt-get >/dev/null || {
    echo "dev: needs Debian 12 (apt-get); missing packages:" $missing >&2
    return 1
  }
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "dev: missing packages and no sudo; as root run: apt-get install --no-install-recommends" $missing >&2
      return 1
    }
    as_root=(sudo)
  fi
  echo "dev: installing" $missing >&2
  # shellcheck disable=SC2086
  "${as_root[@]}" bash "$RAP_ROOT/devtools/apt-install.sh" $missing >&2 </dev/null || {
    echo "dev: apt-get failed; see above" >&2
    return 1
  }
}
