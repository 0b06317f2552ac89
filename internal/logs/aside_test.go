package logs

import (
	"path/filepath"
	"testing"
)

func TestRotatedOfADirectoryThatIsNotThere(t *testing.T) {
	if parts, err := Rotated(filepath.Join(t.TempDir(), "no", "api.log")); len(parts) > 0 || err != nil {
		t.Errorf("%+v, %v; want nothing", parts, err)
	}
}
