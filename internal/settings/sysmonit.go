package settings

import (
	"fmt"

	"tend/internal/errs"
)

// sysmonit is the key that says whether the daemon looks at what the machine
// uses, by PM2's name for it.
const sysmonit = "pm2:sysmonit"

// Unmonitored tells that nobody is to look at what the machine uses.
func (s *Store) Unmonitored() bool {
	t, err := Read(s.home) // anew, as for a change
	v, set := t.Get(sysmonit)
	return err == nil && set && plainText(v) == "false"
}

func checkSysmonit(value string) error {
	if value == "true" || value == "false" {
		return nil
	}
	return &errs.Error{
		Op: "set", On: sysmonit, Kind: errs.Invalid, Err: fmt.Errorf("%q is neither true nor false", value), Hint: "nothing was changed",
	}
}
