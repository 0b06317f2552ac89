package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"tend/internal/errs"
)

func TestProfiles(t *testing.T) {
	d := serve(t, 0)
	for query, sample := range map[string]string{"kind=cpu&ms=50": "nanoseconds", "kind=mem&ms=0": "inuse_space", "kind=mem&ms=5": "inuse_space"} {
		status, text := d.call("GET", "/v1/profile?"+query, nil)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", query, status, text)
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		// The strings of a profile are in it as they are (profile.proto).
		if b, err := io.ReadAll(z); err != nil || !bytes.Contains(b, []byte(sample)) {
			t.Errorf("%s: %d bytes without %q, %v", query, len(b), sample, err)
		}
	}
	for _, query := range []string{"", "kind=cpu", "kind=cpu&ms=-1", "kind=cpu&ms=600001", "kind=cpu&ms=x", "kind=goroutine&ms=1"} {
		d.refused(http.StatusBadRequest, errs.Invalid, "GET", "/v1/profile?"+query, nil)
	}
}
