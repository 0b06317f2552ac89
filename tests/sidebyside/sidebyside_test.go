// Package sidebyside runs the same commands on real PM2 and on tend called pm2,
// and compares what scripts and tools that know PM2 rely on. Each .txtar file is
// a story: what a person types, and the files that are there.
//
// PM2 is the program that TEND_PM2 names; without it all is skipped.
//
//	pm2 ARG...             a line of shell, which has to succeed on both sides
//	! LINE                 it has to fail on both
//	= LINE                 its standard output has to be the same, too
//	same KEYS OF: LINE     the values of these keys in its JSON, one by one
//	wait NAME KEY=VALUE    until the app is so on both sides
//	differs WHAT: REASON   of the next line: exit, messages, output or state. It
//	                       has to differ: a reason that has gone is a failure
//
// After each line the lists, the files of the homes and what the apps wrote are
// compared, as soon as they are equal or patience ends.
package sidebyside

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	// patience is how long both sides may take to become equal.
	patience = 20 * time.Second
	// doubt is how long they are looked at where they are to differ.
	doubt = time.Second
)

func TestSideBySide(t *testing.T) {
	pm2 := os.Getenv("TEND_PM2")
	switch {
	case pm2 == "":
		t.Skip("TEND_PM2 does not say where PM2 is")
	case runtime.GOOS != "linux":
		t.Skip("the keeper is Linux's so far")
	case raced:
		t.Skip("what is compared runs in other processes, which are built without the race detector")
	}
	testkit.NeedNode(t)
	tend, _ := testkit.Build(t)
	files, err := filepath.Glob("*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("find stories: %d, %v", len(files), err)
	}
	used := &reasons{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".txtar"), func(t *testing.T) {
			story, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := &pair{
				t: t, reasons: used,
				pm2:  newSide(t, "PM2", pm2, story.Files),
				tend: newSide(t, "tend", tend, story.Files),
			}
			p.tell(string(story.Comment))
		})
	}
	if !t.Failed() && !partial() {
		used.stale(t)
	}
}

// partial tells that not all stories were run.
func partial() bool {
	return slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.run=") && strings.Contains(a, "/") })
}

// pair is one story on both sides.
type pair struct {
	t         *testing.T
	reasons   *reasons
	pm2, tend *side
	differs   map[string]bool // of the next line
}

func (p *pair) tell(script string) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		switch verb, rest, _ := strings.Cut(line, " "); verb {
		case "", "#":
		case "differs":
			what, reason, ok := strings.Cut(rest, ": ")
			if !ok || reason == "" {
				p.t.Fatalf("%s: no reason", line)
			}
			if p.differs == nil {
				p.differs = map[string]bool{}
			}
			p.differs[what] = true
		case "wait":
			p.wait(line, strings.Fields(rest))
		default:
			p.step(line)
			p.differs = nil
		}
		if p.t.Failed() {
			return // what follows would differ too
		}
	}
}

// step runs one line on both sides, and compares.
func (p *pair) step(line string) {
	command, fails := strings.CutPrefix(line, "! ")
	command, prints := strings.CutPrefix(command, "= ")
	var keys []string
	if rest, ok := strings.CutPrefix(command, "same "); ok {
		list, after, _ := strings.Cut(rest, " OF: ")
		keys, command = strings.Fields(list), after
	}
	theirs, ours := p.pm2.run(command), p.tend.run(command)
	said := "\nPM2: " + theirs.String() + "\ntend: " + ours.String()
	if got, want := theirs.failed, fails; got != want && !p.differs["exit"] {
		p.t.Errorf("%s: PM2 failed: %t%s", line, got, said)
	}
	p.hold(line, "exit", cmp.Diff(theirs.failed, ours.failed), said)
	p.hold(line, "messages", ours.lacks(theirs), said)
	switch {
	case keys != nil:
		p.hold(line, "output", cmp.Diff(theirs.picked(p.t, keys), ours.picked(p.t, keys)), said)
	case prints:
		p.hold(line, "output", cmp.Diff(theirs.out, ours.out), said)
	}
	p.hold(line, "state", p.settled(p.differs["state"]), said)
}

// hold fails where the sides differ and may not, or may and do not.
func (p *pair) hold(line, what, diff, said string) {
	switch {
	case diff != "" && !p.differs[what]:
		p.t.Errorf("%s: the %s differs (-PM2 +tend):\n%s%s", line, what, diff, said)
	case diff == "" && p.differs[what]:
		p.t.Errorf("%s: the %s is the same, though there is a reason why it would differ%s", line, what, said)
	}
}

// settled is how the two sides differ when they have had time to become equal;
// expected says that they are to differ.
func (p *pair) settled(expected bool) (diff string) {
	limit := patience
	if expected {
		limit = doubt
	}
	p.until(limit, func() bool {
		diff = p.compare(p.pm2.state(), p.tend.state())
		return diff == ""
	})
	return diff
}

func (p *pair) until(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func (p *pair) wait(line string, args []string) {
	if len(args) < 2 {
		p.t.Fatalf("%s: want a name and what it is to be", line)
	}
	for _, s := range []*side{p.pm2, p.tend} {
		var last []app
		if !p.until(patience, func() bool { last = s.list(); return are(last, args[0], args[1:]) }) {
			p.t.Errorf("%s: not on the side of %s: %v", line, s.name, last)
		}
	}
}

// are tells that there are apps of a name, and that all fulfil the conditions.
func are(list []app, name string, conditions []string) bool {
	found := false
	for _, a := range list {
		if a.Name != name {
			continue
		}
		found = true
		for _, c := range conditions {
			key, value, _ := strings.Cut(c, "=")
			if plain(a.Env[key]) != value {
				return false
			}
		}
	}
	return found
}
