package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

// logged is a world with two apps that have written something.
func logged(t *testing.T) (*Env, *fakeDaemon) {
	t.Helper()
	env := world(t)
	file := func(name string, age time.Duration, text string) string {
		path := write(t, env, name, text)
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d := &fakeDaemon{instances: []api.Instance{
		{ID: 0, Name: "tick", OutFile: file("tick-out.log", time.Hour, "one\ntwo\nthree\n"), ErrFile: file("tick-err.log", time.Minute, "oops\n")},
		{ID: 1, Name: "a-long-name", OutFile: file("long.log", time.Second, "x\n"), ErrFile: os.DevNull},
	}}
	if err := os.WriteFile(env.Home.Log(), []byte("daemon line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return env, d
}

func TestLogsTail(t *testing.T) {
	tests := map[string]struct{ args, stdout, stderr string }{
		"of all": {
			args: "logs --nostream --lines 2",
			stdout: `[TAILING] Tailing last 2 lines for [all] processes (change the value with --lines option)
HOME/tend.log last 2 lines:
tend       | daemon line

CWD/tick-out.log last 2 lines:
0|tick     | two
0|tick     | three

CWD/tick-err.log last 2 lines:
0|tick     | oops

CWD/long.log last 2 lines:
1|a-long-… | x

`,
		},
		"of one stream": {
			args: "logs all --nostream --err",
			stdout: `[TAILING] Tailing last 15 lines for [all] processes (change the value with --lines option)
CWD/tick-err.log last 15 lines:
0|tick     | oops

`,
		},
		"raw": {
			args:   "logs --raw --nostream --lines 1",
			stderr: "oops\n",
			stdout: `[TAILING] Tailing last 1 lines for [all] processes (change the value with --lines option)
CWD/tick-out.log last 1 lines:
three

CWD/tick-err.log last 1 lines:

CWD/long.log last 1 lines:
x

`,
		},
		"of no line": {args: "logs --nostream --lines 0"},
		"of what matches": {
			args: "logs tick 1 --nostream --grep ^t --exclude ee",
			stdout: `[TAILING] Tailing last 15 lines for [tick, 1] process (change the value with --lines option)
CWD/tick-out.log last 15 lines:
0|tick     | two

CWD/tick-err.log last 15 lines:
CWD/long.log last 15 lines:
`,
		},
		"since a time": {
			args: "logs tick 1 --nostream --since 30m --out",
			stdout: `[TAILING] Tailing since 30m for [tick, 1] process (change the value with --lines option)
CWD/tick-out.log since 30m:
CWD/long.log since 30m:
1|a-long-… | x

`,
		},
		"as JSON": {
			args: "logs tick 1 --json --nostream --lines 1",
			stdout: `{"message":"three","type":"out","process_id":0,"app_name":"tick"}
{"message":"oops","type":"err","process_id":0,"app_name":"tick"}
{"message":"x","type":"out","process_id":1,"app_name":"a-long-name"}
`,
		},
		"as keys and values": {
			args:   "logs tick --format --nostream --err",
			stdout: "app=tick id=0 type=error message=oops\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env, d := logged(t)
			r := try(t, env, d, strings.Fields(tt.args)...)
			if r.code != 0 {
				t.Fatalf("got %+v", r)
			}
			got := strings.NewReplacer(env.Cwd, "CWD", string(env.Home), "HOME").Replace(r.stdout)
			if diff := cmp.Diff(got, tt.stdout); diff != "" {
				t.Errorf("stdout (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(r.stderr, tt.stderr); diff != "" {
				t.Errorf("stderr (-got +want):\n%s", diff)
			}
		})
	}
}

// notifier is a buffer that tells when it holds a text.
type notifier struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	wait map[string]chan struct{}
}

func (n *notifier) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Write(p)
	for text, ch := range n.wait {
		if strings.Contains(n.buf.String(), text) {
			close(ch)
			delete(n.wait, text)
		}
	}
	return len(p), nil
}

func (n *notifier) until(t *testing.T, text string) {
	t.Helper()
	ch := make(chan struct{})
	n.mu.Lock()
	if strings.Contains(n.buf.String(), text) {
		n.mu.Unlock()
		return
	}
	if n.wait == nil {
		n.wait = make(map[string]chan struct{})
	}
	n.wait[text] = ch
	n.mu.Unlock()
	select {
	case <-ch:
	case <-time.After(10 * time.Second):
		n.mu.Lock()
		defer n.mu.Unlock()
		t.Fatalf("no %q in %q", text, n.buf.String())
	}
}

func TestLogsFollow(t *testing.T) {
	env, d := logged(t)
	d.pong = api.Pong{PID: 1, Version: "v1"}
	serve(t, env, d)
	out := &notifier{}
	env.Stdout = out
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int)
	go func() { code <- Main(ctx, []string{"logs", "tick"}, env) }()
	out.until(t, "three\n")
	appendTo(t, env, "tick-out.log", "four\n\nfive\n")
	out.until(t, "0|tick  | four\n0|tick  | five\n")
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("got code %d after an interrupt, want 0", got)
	}
}

// TestRawLogsInTurn: on a terminal both outputs are one.
func TestRawLogsInTurn(t *testing.T) {
	env, d := logged(t)
	serve(t, env, d)
	var both bytes.Buffer
	env.Stdout, env.Stderr = &both, &both
	if code := Main(t.Context(), strings.Fields("logs --raw --nostream --lines 1"), env); code != 0 {
		t.Fatalf("exit code %d: %s", code, both.String())
	}
	got := strings.NewReplacer(env.Cwd, "CWD", string(env.Home), "HOME").Replace(both.String())
	want := `[TAILING] Tailing last 1 lines for [all] processes (change the value with --lines option)
CWD/tick-out.log last 1 lines:
three

CWD/tick-err.log last 1 lines:
oops

CWD/long.log last 1 lines:
x

`
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
}

func TestLogsFollowInEachForm(t *testing.T) {
	const stamp = `\d{4}-\d\d-\d\d`
	for args, want := range map[string]string{
		"logs --lines 0":             `(?m)^0\|tick  \| four$`,
		"logs --lines 0 --timestamp": `(?m)^` + stamp + `-\d\d:\d\d:\d\d 0\|tick  \| four$`,
		"logs --raw --lines 0":       `(?m)^four$`,
		"logs --json":                `(?m)^\{"message":"four","timestamp":"` + stamp + `T\d\d:\d\d:\d\d\.\d{3}Z","type":"out","process_id":0,"app_name":"tick"\}$`,
		"logs --format":              `(?m)^timestamp=` + stamp + `-\d\d:\d\d:\d\d[+-]\d{4} app=tick id=0 type=out message=four$`,

		"logs --lines 0 --grep f.*r --exclude ^three":     `(?m)^0\|tick  \| four$`,
		"logs --lines 0 --highlight our":                  `f\x1b\[100mour\x1b\[49m`,
		"logs --lines 0 --since 1s --out":                 `(?m)^0\|tick  \| four$`,
		"logs --lines 0 --err --out":                      `(?m)^0\|tick  \| four$`,
		"logs /ti.*/ --lines 0":                           `(?m)^0\|tick  \| four$`,
		"logs --json --highlight x --timestamp --lines 3": `"message":"four"`,
	} {
		t.Run(args, func(t *testing.T) {
			env, d := logged(t)
			d.pong = api.Pong{PID: 1, Version: "v1"}
			serve(t, env, d)
			env.Color = strings.Contains(args, "highlight our")
			out := &notifier{}
			env.Stdout = out
			ctx, interrupt := context.WithCancel(t.Context())
			code := make(chan int)
			go func() { code <- Main(ctx, strings.Fields(args), env) }()
			subscribed(t, d) // then it follows
			appendTo(t, env, "tick-out.log", "four\nthree and four\n")
			if strings.Contains(args, "exclude") {
				appendTo(t, env, "tick-out.log", "far\n")
				out.until(t, "far\n")
			} else {
				out.until(t, "three and f")
			}
			interrupt()
			if got := <-code; got != 0 {
				t.Errorf("got code %d after an interrupt, want 0", got)
			}
			if got := out.buf.String(); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("got %q, want a match of %s", got, want)
			}
		})
	}
}

// subscribed waits until somebody reads the events of d.
func subscribed(t *testing.T, d *fakeDaemon) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; runtime.Gosched() {
		d.mu.Lock()
		asked := slices.ContainsFunc(d.requests, func(r string) bool { return strings.HasPrefix(r, "events ") })
		d.mu.Unlock()
		if asked {
			return
		}
	}
	t.Fatal("nobody reads the events")
}

func TestLogsRefuse(t *testing.T) {
	for args, want := range map[string]string{
		"logs --since yesterday": `"yesterday" is no time`,
		"logs --since 10":        `"10" is no time`,
		"logs --until 25:00":     `"25:00" is no time`,
		"logs --grep (":          "missing closing )",
	} {
		r := try(t, world(t), nil, strings.Fields(args)...)
		if r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %+v, want %q", args, r, want)
		}
	}
}

func TestMomentOf(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"10m": "2026-11-22 14:50:00", "90s": "2026-11-22 14:58:30", "2H": "2026-11-22 13:00:00", "1d": "2026-11-21 15:00:00",
		"1h30m": "2026-11-22 13:30:00", "14:30": "2026-11-22 14:30:00", "14:30:05": "2026-11-22 14:30:05",
		"2026-11-20": "2026-11-20 00:00:00", "2026-11-20 08:00": "2026-11-20 08:00:00", "2026-11-20T08:00:01Z": "2026-11-20 08:00:01",
	} {
		got, err := momentOf("--since", text, now)
		if err != nil || got.Format(time.DateTime) != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

func appendTo(t *testing.T, env *Env, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(env.Cwd, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// As with PM2, a log of both streams is one of standard output.
func TestLogsOfBothStreamsInOne(t *testing.T) {
	for args, want := range map[string]string{
		"":       `"type":"out"`,
		" --out": `"type":"out"`,
		" --err": `"type":"err"`,
	} {
		env, d := logged(t)
		d.instances[0].ErrFile = d.instances[0].OutFile
		r := try(t, env, d, strings.Fields("logs tick --json --nostream --lines 1"+args)...)
		if r.code != 0 || strings.Count(r.stdout, "\n") != 1 || !strings.Contains(r.stdout, want) {
			t.Errorf("logs%s: got %+v, want one line of %s", args, r, want)
		}
	}
}

// A damaged file keeps nothing else from being seen, and what comes is followed.
func TestLogsOfDamagedFiles(t *testing.T) {
	env, d := logged(t)
	damaged := write(t, env, "tick-out__2026-01-01_10-00-00.log.gz", "no archive")
	r := try(t, env, d, "logs", "--nostream")
	if r.code != 1 || !strings.Contains(r.stderr, damaged) || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("got %+v, want code 1 and a line about %s", r, damaged)
	}
	for _, want := range []string{"0|tick     | three\n", "0|tick     | oops\n", "1|a-long-… | x\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in %s", want, r.stdout)
		}
	}
	out := &notifier{}
	env.Stdout = out
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int)
	go func() { code <- Main(ctx, []string{"logs", "tick"}, env) }()
	out.until(t, "oops\n")
	appendTo(t, env, "tick-out.log", "four\n")
	out.until(t, "0|tick  | four\n")
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("got code %d after an interrupt, want 0", got)
	}
}

// interrupting is a reader that presses Ctrl-C at the first thing it sees.
type interrupting struct {
	bytes.Buffer

	interrupt func()
}

func (i *interrupting) Write(b []byte) (int, error) {
	i.interrupt()
	return i.Buffer.Write(b)
}

// Nobody has to wait for the end of a long history.
func TestLogsInterruptedInTheirHistory(t *testing.T) {
	for args, want := range map[string]int{"logs tick --lines 1000000": 0, "logs tick --lines 1000000 --nostream": codeInterrupted} {
		env, d := logged(t)
		d.pong = api.Pong{PID: 1, Version: "v1"}
		serve(t, env, d)
		appendTo(t, env, "tick-out.log", strings.Repeat("line\n", 1_000_000))
		ctx, interrupt := context.WithCancel(t.Context())
		out := &interrupting{interrupt: interrupt}
		env.Stdout = out
		if got := Main(ctx, strings.Fields(args), env); got != want {
			t.Errorf("%s: got code %d, want %d", args, got, want)
		}
		if out.Len() > 1<<20 {
			t.Errorf("%s: wrote %d bytes after it was interrupted", args, out.Len())
		}
	}
}

func TestLogsOfNothing(t *testing.T) {
	env, d := logged(t)
	d.refuse = map[string]*api.Error{"instances": {Op: "find", On: "nosuch", Kind: "not_found", Message: "no such app"}}
	if r := try(t, env, d, "logs", "nosuch", "--nostream"); r.code != 0 || r.stderr != "[tend][WARN] find nosuch: no such app\n" {
		t.Errorf("got %+v, want a warning and code 0", r)
	}
}
