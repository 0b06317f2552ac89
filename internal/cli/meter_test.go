package cli

import (
	"fmt"
	"strings"
	"testing"

	"tend/api"
)

func TestMeter(t *testing.T) {
	const n = 12
	target := api.Event{Kind: api.EventTarget, Act: api.ActStop, Target: "web"}
	events := []api.Event{}
	for id := range n {
		target.IDs = append(target.IDs, id)
		events = append(events, api.Event{Kind: api.EventInstance, Act: api.ActStop, Name: "web", ID: id, OK: id != 3})
	}
	events[3].Error = &api.Error{Kind: "crashed", Message: "it did not end"}
	d := &fakeDaemon{events: append([]api.Event{target}, events...)}
	env := world(t)
	env.Width = 60
	r := try(t, env, d, "stop", "web")
	last := r.stdout[strings.LastIndex(r.stdout[:strings.Index(r.stdout, "┌")], "\x1b[K"):]
	if r.code != 0 || strings.Contains(r.stdout, "(2) ✓") || !strings.Contains(r.stdout, "\r\x1b[K[tend] 6 of 12 ━") || !strings.HasPrefix(last, "\x1b[K[tend] 11 of 12 ✓, 1 ✗\n┌") {
		t.Errorf("got %q", r.stdout)
	}
	if !strings.Contains(r.stderr, "[web](3) ✗ it did not end") {
		t.Errorf("got %q", r.stderr)
	}
	for line := range strings.SplitSeq(r.stdout, ansiWipe) {
		if text, _, _ := strings.Cut(line, "\n"); len([]rune(text)) > env.Width {
			t.Errorf("%q is wider than the terminal", text)
		}
	}

	// Nothing of it in a pipe, where each message is a line, and of a few instances.
	env.Width = 0
	if r = try(t, env, nil, "stop", "web"); !strings.HasPrefix(r.stdout, "[tend] Applying action stopProcessId on app [web](ids: [ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 ])\n") {
		t.Errorf("got %q", r.stdout)
	}
	if r = try(t, env, nil, "stop", "web"); strings.Contains(r.stdout, "\r") || strings.Count(r.stdout, "✓") != n-1 {
		t.Errorf("got %q", r.stdout)
	}
	env.Width = 60
	d.events[0].IDs = d.events[0].IDs[:meterFrom]
	if r = try(t, env, nil, "stop", "web"); strings.Contains(r.stdout, "\r") {
		t.Errorf("got %q", r.stdout)
	}
}

// TestWarningsAreWhole on a terminal that is too narrow for them.
func TestWarningsAreWhole(t *testing.T) {
	env := world(t)
	env.Width = 40
	d := &fakeDaemon{pong: api.Pong{PID: 7, Version: "v0"}}
	if r := try(t, env, d, "ping"); !strings.HasSuffix(r.stderr, "`tend update` brings it to this one\n") {
		t.Errorf("got %q", r.stderr)
	}
}

func TestMeterOfAStart(t *testing.T) {
	d := &fakeDaemon{events: []api.Event{{Kind: api.EventApp, Name: "run", IDs: make([]int, 20)}}}
	for id := range 20 {
		d.events = append(d.events, api.Event{Kind: api.EventInstance, Act: api.ActStart, Name: "run", ID: id, OK: true})
	}
	env := world(t)
	write(t, env, "run.sh", "#!/bin/sh\n")
	env.Width = 60
	r := try(t, env, d, "start", "run.sh", "-i", "20")
	if r.code != 0 || !strings.Contains(r.stdout, ansiWipe+"[tend] 19 of 20 ━") || !strings.Contains(r.stdout, ansiWipe+"[tend] 20 of 20 ✓\n[tend] Done.\n") {
		t.Errorf("got %+v", r)
	}
}

// A request that ends early leaves no half of a line.
func TestMeterThatDoesNotEnd(t *testing.T) {
	d := &fakeDaemon{cut: true, events: []api.Event{{Kind: api.EventApp, Name: "web", IDs: make([]int, 100)}, {Kind: api.EventInstance, Name: "web", OK: true}}}
	env := world(t)
	env.Width = 60
	r := try(t, env, d, "scale", "web", "100")
	if r.code != 1 || !strings.HasSuffix(r.stdout, ansiWipe) || !strings.Contains(r.stdout, "1 of 100") {
		t.Errorf("%s", fmt.Sprintf("got %d, %q, %q", r.code, r.stdout, r.stderr))
	}
}
