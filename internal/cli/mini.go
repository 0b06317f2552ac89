package cli

import (
	"cmp"
	"fmt"
	"time"

	"tend/api"
	"tend/internal/units"
)

// appendMini appends the list as text that needs no wide terminal: a block an
// instance, in the order of the list.
func appendMini(dst []byte, list []api.Instance, now time.Time) []byte {
	for i := range list {
		in := &list[i]
		watching := "no"
		if in.Watching {
			watching = "yes"
		}
		// The blank behind the memory is PM2's.
		dst = fmt.Appendf(dst, `+--- %s
namespace : %s
version : %s
pid : %d
pm2 id : %d
status : %s
mode : %s
restarted : %d
uptime : %s
memory usage : %s%s
error log : %s
watching : %s
PID file : %s

`, in.Name, in.Namespace, cmp.Or(in.Version, notAvailable), in.PID, in.ID, in.State, in.Mode, in.Restarts,
			uptime(in, now), units.Bytes(in.Memory), " ", in.ErrFile, watching, in.PidFile)
	}
	return dst
}
