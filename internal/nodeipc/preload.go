package nodeipc

import (
	"bytes"
	_ "embed" // the script
	"os"

	"tend/internal/durable"
)

// preload is what node loads before an app whose reload is to drain it. It
// does nothing before the daemon says so.
//
//go:embed preload.cjs
var preload []byte

// InstallPreload makes sure that the script is at path.
func InstallPreload(path string) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, preload) {
		return nil
	}
	return durable.WriteFile(path, preload, 0o600)
}
