//go:build !linux

package httpapi

import "net"

// credentials are not known here yet; without them every call is refused.
func credentials(net.Conn) (uid, pid int, ok bool) { return -1, 0, false }
