#!/usr/bin/env bash
# prove_systems.sh [SYSTEM ...]: run what the README says on new systems, each as root and as an ordinary user.
#
# SYSTEM: bookworm (Debian 12), trixie (Debian 13), noble (Ubuntu 24.04); the default is all. One that cannot be had
# here is skipped, with the reason; with FASTSOCKS_REQUIRE_SYSTEMS=1 that is a failure.
# For each user a system is unpacked anew: minimal, with a clone of this commit in ~/fastsocks, and sudo for the
# ordinary user. There it
#   installs fastsocks as the README does, and carries a page through a server and a local proxy;
#   runs `sh scripts/bootstrap.sh demo`, and fetches the page of the demonstration;
#   runs `sh scripts/bootstrap.sh test`, with ARGS if these are given.
# UBUNTU_MIRROR says where Ubuntu's packages are, where debootstrap does not know; Debian's come from where this host's do.
# USERS="root user" says as whom, STEPS="install demo test" what of that.
#
# Needs root, debootstrap and unshare. The systems are kept in ${FASTSOCKS_SYSTEMS:-~/.cache/fastsocks-systems}; all else
# is in a folder of its own, and gone at the end. PIP_CERT and other variables of pip hold inside, too.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

cache=${FASTSOCKS_SYSTEMS:-$HOME/.cache/fastsocks-systems}
users=${USERS:-root user}
steps=${STEPS:-install demo test}
[ $# -gt 0 ] || set -- bookworm trixie noble

die() { echo "prove_systems.sh: $*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

[ "$(id -u)" = 0 ] || die "it needs root: sudo make prove-systems"
for tool in debootstrap unshare chroot git; do
  command -v "$tool" >/dev/null || die "$tool is missing: apt-get install debootstrap util-linux git"
done
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/fastsocks-systems.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

debian_mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/$'; }

make_system() { # make_system SYSTEM: put it into the cache, unless it is there
  local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg script=$1
  [ ! -f "$cache/$1.tar" ] || return 0
  case $1 in
  noble)
    mirror=${UBUNTU_MIRROR:-} keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
    [ -f /usr/share/debootstrap/scripts/noble ] || script=gutsy # what all later ones are a link to
    ;;
  *) mirror=$(debian_mirror) || true ;;
  esac
  [ -f "$keyring" ] || { why="$keyring is missing"; return 1; }
  rm -rf "$work/new"
  # Without a mirror debootstrap takes that of its script, which has to be there by the system's name then.
  [ -n "$mirror" ] || [ "$script" = "$1" ] || { why="debootstrap does not know $1: set UBUNTU_MIRROR"; return 1; }
  if ! debootstrap --variant=minbase --keyring="$keyring" "$1" "$work/new" \
    ${mirror:+"$mirror" "/usr/share/debootstrap/scripts/$script"} >"$cache/$1.log" 2>&1; then
    why="debootstrap: $(tail -1 "$cache/$1.log")"
    return 1
  fi
  rm -rf "$work/new/var/cache/apt/archives"/*.deb "$work/new/var/lib/apt/lists"/*_*
  tar -C "$work/new" -cf "$cache/$1.tar.new" .
  mv "$cache/$1.tar.new" "$cache/$1.tar"
  rm -rf "$work/new"
}

unpack_system() { # unpack_system SYSTEM USER FOLDER: a new one, with a clone at home
  local home
  mkdir -p "$3"
  tar -C "$3" -xf "$cache/$1.tar"
  cp /etc/resolv.conf "$3/etc/resolv.conf"
  echo 127.0.0.1 localhost >"$3/etc/hosts"
  [ -z "${PIP_CERT:-}" ] || cp "$PIP_CERT" "$3/etc/pip-cert.pem"
  home=/root
  if [ "$2" != root ]; then
    home=/home/$2
    within "$3" root "useradd --create-home --shell /bin/bash $2 &&
      apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends sudo &&
      echo '$2 ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/$2 && rm -r /var/lib/apt/lists/*_*"
  fi >>"$log" 2>&1
  git clone -q --no-hardlinks . "$3$home/fastsocks"
  git -C "$3$home/fastsocks" remote remove origin
  [ "$2" = root ] || within "$3" root "chown -R $2: $home"
}

within() { # within FOLDER USER COMMAND: run it there in the clone, with processes and mounts of its own
  local home=/root
  [ "$2" = root ] || home=/home/$2
  # shellcheck disable=SC2016 # the inner shell's variables
  unshare --mount --pid --fork --kill-child sh -ec '
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys" || true
    mount --rbind /dev "$1/dev"
    mount -t tmpfs tmpfs "$1/dev/shm"
    mount -t tmpfs tmpfs "$1/run"
    root=$1; shift
    exec chroot "$root" "$@"' - "$1" \
    env -i "HOME=$home" "USER=$2" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    "${pip[@]}" "COMMAND=$3" \
    setpriv --reuid "$2" --regid "$2" --init-groups bash -c 'cd ~/fastsocks 2>/dev/null || cd; eval "$COMMAND"' </dev/null
}

pip=()
while IFS= read -r -d '' variable; do
  case $variable in PIP_FIND_LINKS=*) ;; PIP_CERT=*) pip+=(PIP_CERT=/etc/pip-cert.pem) ;; PIP_*) pip+=("$variable") ;; esac
done < <(env -0)

# shellcheck disable=SC2016 # for the shell inside
install_step='
set -ex
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
  gcc pkg-config libssl-dev python3-dev python3-venv
python3 -m venv ~/.local/fastsocks
~/.local/fastsocks/bin/pip install .
cd /
~/.local/fastsocks/bin/python ~/fastsocks/scripts/smoke_relay.py
'
# shellcheck disable=SC2016
demo_step='
sh scripts/bootstrap.sh demo >/tmp/demo.log 2>&1 &
demo=$!
while kill -0 $demo 2>/dev/null && ! grep -q "^A server and a local proxy" /tmp/demo.log; do sleep 1; done
cat /tmp/demo.log
.venv/bin/python - /tmp/demo.log <<PYTHON
import re, socket, sys
port, page = re.search(r"127.0.0.1:(\d+) http://127.0.0.1:(\d+)/", open(sys.argv[1]).read()).groups()
with socket.create_connection(("127.0.0.1", int(port)), 30) as proxy:
    proxy.sendall(f"GET http://127.0.0.1:{page}/ HTTP/1.0\r\n\r\n".encode())
    answer = b"".join(iter(lambda: proxy.recv(65536), b""))
sys.exit(b"came through fastsocks" not in answer)
PYTHON
fetched=$?
kill $demo
wait $demo
exit $fetched
'
# shellcheck disable=SC2034 # by name, as the others
test_step="sh scripts/bootstrap.sh test ${ARGS:+ARGS=\"$ARGS\"}"

failed=()
for system in "$@"; do
  why=
  if ! make_system "$system"; then
    say "$system: skipped: $why"
    [ "${FASTSOCKS_REQUIRE_SYSTEMS:-}" != 1 ] || failed+=("$system: $why")
    continue
  fi
  for user in $users; do
    folder=$work/$system-$user
    log=$cache/$system-$user.log
    : >"$log"
    unpack_system "$system" "$user" "$folder"
    for step in $steps; do
      say "$system, $user: $step"
      command=${step}_step
      started=$SECONDS
      if within "$folder" "$user" "${!command}" >>"$log" 2>&1; then
        echo "green, after $((SECONDS - started)) s: $(tail -1 "$log")"
      else
        echo "failed, after $((SECONDS - started)) s; the end of $log:"
        tail -40 "$log"
        failed+=("$system, $user: $step")
      fi
    done
    rm -rf --one-file-system "$folder"
  done
done
[ ${#failed[@]} = 0 ] || { say "failed: $(IFS=';'; echo "${failed[*]}")"; exit 1; }
