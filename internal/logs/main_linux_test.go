package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/rotation"
)

// writerVar makes this binary an app that writes as many lines as it says to
// its standard output, each by a write of its own, and ends.
const writerVar = "TEND_TEST_WRITE_LINES"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == CompressCommand {
		if err := Compress(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			unix.Exit(1)
		}
		unix.Exit(0) // and not os.Exit: the race detector would have it wait a second, GORACE or not
	}
	if path := os.Getenv(rotatorVar); path != "" {
		lookAfterIt(path)
	}
	if n, err := strconv.Atoi(os.Getenv(writerVar)); err == nil {
		line := []byte(fmt.Sprintf("%-*s\n", lineSize-1, "a line of output"))
		for range n {
			if _, err := os.Stdout.Write(line); err != nil {
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	if os.Getenv(collectEnv) != "" {
		collectChild()
	}
	goleak.VerifyTestMain(m)
}

// rotatorVar makes this binary a daemon's rotator, of the log that it names.
const rotatorVar = "TEND_TEST_LOOK_AFTER"

// lookAfterIt looks after what was put aside of a log, and ends with what came
// of it.
func lookAfterIt(path string) {
	r, err := rotation.New(api.Rotation{Compress: os.Getenv("METHOD"), Retain: -1})
	if err == nil {
		err = newRotator(slog.New(slog.DiscardHandler)).lookAfter(context.Background(), path, care{rule: r}, Listings{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var errEnough = errors.New("enough")

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
