#!/bin/sh
# A real systemd, the manager of one user, as it is below a machine's own: in
# namespaces that end with this script, its process 1. The arguments are a
# directory for everything that is written, and that of tend's binaries.
set -eu
mount --make-rprivate /
HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
mount -t tmpfs none "$HOME"
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd/system # systemd asks this whether systemd runs the machine
export HOME TEND_HOME="$1/h" XDG_RUNTIME_DIR="$1/run" NO_COLOR=1 PATH="$2:$PATH"
mkdir -m 700 "$XDG_RUNTIME_DIR"

fail() {
	echo "FAIL: $*"
	systemctl --user status --no-pager tend.service || true
	tail -n 30 "$TEND_HOME/tend.log" "$XDG_RUNTIME_DIR/log"
	exit 1
}
# shows NAME VALUE: the unit has it, within ten seconds.
shows() {
	for _ in $(seq 100); do
		[ "$(systemctl --user show tend.service -p "$1" --value)" != "$2" ] || return 0
		sleep 0.1
	done
	fail "$step: $1 is $(systemctl --user show tend.service -p "$1" --value), not $2"
}
app() { pgrep -f '^sleep 31536' || true; }
keeper() { systemctl --user show tend.service -p MainPID --value; }
same() { [ "$(app)" = "$was" ] || fail "$step: the app is $(app), was $was"; }

step='before the boot'
tend start 'sleep 31536' --name web >/dev/null 2>&1
tend save >/dev/null
tend kill >/dev/null
systemd=/usr/lib/systemd/systemd
[ -x $systemd ] || systemd=/lib/systemd/systemd
$systemd --user --log-target=console >"$XDG_RUNTIME_DIR/log" 2>&1 &
for _ in $(seq 100); do
	state=$(systemctl --user is-system-running 2>/dev/null) || true
	case "$state" in running | degraded) break ;; esac
	sleep 0.1
done
case "$state" in running | degraded) ;; *) cat "$XDG_RUNTIME_DIR/log"; exit 1 ;; esac
echo READY # what goes wrong from here on is our fault

step=startup
tend startup systemd-user >"$XDG_RUNTIME_DIR/out" 2>&1 || { cat "$XDG_RUNTIME_DIR/out"; fail $step; }
[ "$(systemctl --user is-enabled tend.service)" = enabled ] || fail "$step: it is not enabled"

step=boot
systemctl --user start tend.service || fail $step
shows ActiveState active
was=$(app)
[ -n "$was" ] || fail "$step: the app does not run"
[ "$(cat /proc/"$(keeper)"/comm)" = tend-keeper ] || fail "$step: the main process is $(keeper)"

step='the daemon is killed'
kill -9 "$(cat "$TEND_HOME/tend.pid")"
tend ping >/dev/null
same
shows NRestarts 0

step=update
tend update >/dev/null
same
shows NRestarts 0

step='the keeper is killed'
old=$(keeper)
kill -9 "$old"
shows NRestarts 1
shows ActiveState active
same
[ "$(keeper)" != "$old" ] || fail "$step: $old is still the main process"
[ "$(cat /proc/"$(keeper)"/comm)" = tend-keeper ] || fail "$step: the main process is $(keeper)"

step=reload
systemctl --user reload tend.service || fail $step
[ "$(app)" != "$was" ] || fail "$step: it is the same app"

step=stop
systemctl --user stop tend.service || fail $step
shows ActiveState inactive
shows Result success
[ -z "$(app)" ] || fail "$step: the app runs"
[ ! -e "$TEND_HOME/tend.sock" ] || fail "$step: the daemon runs"

step='tend kill'
systemctl --user start tend.service || fail $step
tend kill >/dev/null
shows ActiveState inactive
shows Result success
[ -z "$(app)" ] || fail "$step: the app runs"

step=unstartup
systemctl --user start tend.service || fail $step
was=$(app)
tend unstartup systemd-user >"$XDG_RUNTIME_DIR/out" 2>&1 || { cat "$XDG_RUNTIME_DIR/out"; fail $step; }
same
systemctl --user is-enabled tend.service >/dev/null 2>&1 && fail "$step: it is enabled still"
tend kill >/dev/null
echo PASS
