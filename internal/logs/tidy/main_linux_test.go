package tidy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/logs"
	"tend/internal/rotation"
)

// errEnough ends what a test has run.
var errEnough = errors.New("enough")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == CompressCommand {
		end(Compress(os.Args[2:]))
	}
	if path := os.Getenv(caretakerVar); path != "" {
		end(lookAfterIt(path))
	}
	goleak.VerifyTestMain(m)
}

// caretakerVar makes this binary a daemon's Caretaker, of the log that it names.
const caretakerVar = "TEND_TEST_LOOK_AFTER"

// lookAfterIt looks after what was put aside of a log.
func lookAfterIt(path string) error {
	r, err := rotation.New(api.Rotation{Compress: os.Getenv("METHOD"), Retain: -1})
	if err != nil {
		return err
	}
	return New(slog.New(slog.DiscardHandler)).lookAfter(context.Background(), path, Care{Rule: r}, logs.Listings{})
}

// end ends a child with what came of its work. It is not os.Exit, which waits a
// second under the race detector, and GORACE does not reach all of our children.
func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		unix.Exit(1)
	}
	unix.Exit(0)
}
