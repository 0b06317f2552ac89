package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// The mortal app is this program under the name mortalWord: it appends to a
// file when it starts and when it ends, and between them lives long enough to
// pass for stable (min_uptime is a second).
const (
	mortalWord = "mortal"
	mortalAge  = 1100 * time.Millisecond
)

// mortalMain is the app: its arguments are the file and its age.
func mortalMain(args []string) int {
	began := time.Now()
	if err := live(began, args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func live(began time.Time, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("live: %d arguments, not a file and an age", len(args))
	}
	age, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "start %d\n", began.UnixNano()); err != nil {
		return err
	}
	if err := pause(context.Background(), age-time.Since(began)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "exit %d\n", time.Now().UnixNano())
	return err
}

// mortal is the app that writes its lives to file.
func mortal(exe, file string, age time.Duration) app {
	return app{name: mortalWord, script: exe, args: []string{mortalWord, file, age.String()}}
}

// gaps reads the times from each exit to the next start, in seconds.
func gaps(file string) ([]float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []float64
	var exit int64
	for line := range strings.Lines(string(text)) {
		var word string
		var at int64
		if _, err := fmt.Sscanf(line, "%s %d", &word, &at); err != nil {
			break // the app is writing it
		}
		switch {
		case word == "exit":
			exit = at
		case exit != 0:
			all = append(all, time.Duration(at-exit).Seconds())
		}
	}
	return all, nil
}
