package durable

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
)

// TestMain lets the test binary act as a program that is killed, or that meets
// a full disk: see child.
func TestMain(m *testing.M) {
	if act := os.Getenv("DURABLE_ACT"); act != "" {
		if err := actOut(act, os.Getenv("DURABLE_PATH")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is this test binary, made to act on path.
func child(t *testing.T, act, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DURABLE_ACT="+act, "DURABLE_PATH="+path)
	return cmd
}

func actOut(act, path string) error {
	switch act {
	case "append":
		return appendForEver(path)
	case "replace":
		return replaceForEver(path)
	case "small files":
		// As a full disk, for a user who may not mount one: a write beyond
		// the limit writes what fits, and fails with EFBIG.
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: fullDisk, Max: fullDisk}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		return meetFullDisk(path, syscall.EFBIG)
	}
	return fmt.Errorf("unknown act %q", act)
}

// appendForEver appends numbered records, rewrites now and then to the last
// ten, and prints the number of each that was taken.
func appendForEver(path string) error {
	next := 0
	j, _, err := OpenJournal(path, func(p []byte) (err error) {
		next, err = strconv.Atoi(string(p))
		next++
		return err
	})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for ; ; next++ {
		if err := j.Append([]byte(strconv.Itoa(next))); err != nil {
			return err
		}
		fmt.Fprintln(out, next)
		if err := out.Flush(); err != nil {
			return err
		}
		if next%100 == 99 {
			err := j.Rewrite(func(add func([]byte) error) error {
				for i := next - 9; i <= next; i++ {
					if err := add([]byte(strconv.Itoa(i))); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
}
