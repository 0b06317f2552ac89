//go:build !linux

package keeper

import "os"

// Main says that there is no keeper here yet: holding processes over the
// death of their parent needs pidfds and a child subreaper.
func Main([]string) int {
	_, _ = os.Stderr.WriteString("tend-keeper: running apps is supported on Linux only so far\n")
	return 1
}
