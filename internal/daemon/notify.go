package daemon

import (
	"fmt"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// tellReady tells the init system that started us, where one did and listens
// (sd_notify(3)), that the saved apps run, and that the keeper is the process to
// watch: the command that started all is over now.
func (d *daemon) tellReady() {
	state := systemd.SdNotifyReady
	if pid, _ := d.keeper.PID(); pid > 0 {
		state = fmt.Sprintf("MAINPID=%d\n%s", pid, state)
	}
	d.tell(state)
}

// tellStopping tells the init system that the apps end now.
func (d *daemon) tellStopping() { d.tell(systemd.SdNotifyStopping) }

func (d *daemon) tell(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		d.log.Warn("tell the init system", "err", err)
	}
}
