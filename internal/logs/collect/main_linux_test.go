package collect

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tend/internal/logs/tidy"
)

// writerVar makes this binary an app that writes as many lines as it says to
// its standard output, each by a write of its own, and ends.
const writerVar = "TEND_TEST_WRITE_LINES"

// errEnough ends what a test has run.
var errEnough = errors.New("enough")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == tidy.CompressCommand {
		if err := tidy.Compress(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			unix.Exit(1)
		}
		unix.Exit(0) // and not os.Exit: the race detector would have it wait a second, GORACE or not
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
