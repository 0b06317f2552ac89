package logs

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// writerVar makes this binary an app that writes as many lines as it says to
// its standard output, each by a write of its own, and ends.
const writerVar = "TEND_TEST_WRITE_LINES"

const lineSize = 100

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(writerVar)); err == nil {
		line := []byte(fmt.Sprintf("%-*s\n", lineSize-1, "a line of output"))
		for range n {
			if _, err := os.Stdout.Write(line); err != nil {
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
