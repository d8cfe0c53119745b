#!/bin/bash
# apt-install.sh PACKAGE...: installs packages as root without starting a service or making a database cluster.
# What it changes for the duration of the installation it puts back, also when it is interrupted.
set -u
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
policy=/usr/sbin/policy-rc.d
cluster_conf=/etc/postgresql-common/createcluster.conf
made_policy=
saved_conf=

put_back() {
  [ -n "$made_policy" ] && rm -f "$policy"
  [ -n "$saved_conf" ] && cp -p "$saved_conf" "$cluster_conf" && rm -f "$saved_conf"
  made_policy= saved_conf=
}
trap put_back EXIT
trap 'exit 130' INT TERM

if [ ! -e "$policy" ]; then
  made_policy=1
  printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
fi

install() {
  apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

apt-get update -q -o DPkg::Lock::Timeout=300 || exit 1

# postgresql-common first: its settings decide whether installing the server makes a system cluster.
case " $* " in
  *" postgresql-15 "*)
    install postgresql-common || exit 1
    if [ -f "$cluster_conf" ] && ! ls /etc/postgresql/15/*/postgresql.conf >/dev/null 2>&1; then
      saved_conf=$(mktemp)
      cp -p "$cluster_conf" "$saved_conf"
      echo "create_main_cluster = false" >> "$cluster_conf"
    fi
    ;;
esac
install "$@"
