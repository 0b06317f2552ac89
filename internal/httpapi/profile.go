package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"

	"tend/api"
	"tend/internal/errs"
)

// profile answers with a profile of the daemon. It takes the time that was
// asked for, or until the client leaves.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ms, err := strconv.Atoi(q.Get("ms"))
	if err != nil || ms < 0 || ms > api.MaxProfile {
		refuse(w, &errs.Error{
			Op: "profile", On: "the daemon", Kind: errs.Invalid,
			Err: fmt.Errorf("%q is not a number of milliseconds up to %d", q.Get("ms"), api.MaxProfile),
		})
		return
	}
	s.log(r, "profile", "kind", q.Get("kind"), "ms", ms)
	var b bytes.Buffer
	during := time.Duration(ms) * time.Millisecond
	switch kind := q.Get("kind"); kind {
	case api.ProfileCPU:
		err = profileCPU(r.Context(), &b, during)
	case api.ProfileMemory:
		wait(r.Context(), during)
		runtime.GC() // what nobody holds any more is not of interest
		err = pprof.Lookup("heap").WriteTo(&b, 0)
	default:
		err = &errs.Error{Op: "profile", On: kind, Kind: errs.Invalid, Err: errors.New("there is no such profile")}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b.Bytes()) // a client that left needs no answer
}

func profileCPU(ctx context.Context, b *bytes.Buffer, during time.Duration) error {
	if err := pprof.StartCPUProfile(b); err != nil {
		return &errs.Error{Op: "profile", On: "the daemon", Kind: errs.Exists, Err: err, Hint: "wait until the other one is done"}
	}
	wait(ctx, during)
	pprof.StopCPUProfile()
	return nil
}

func wait(ctx context.Context, during time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(during):
	}
}
