package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tend/api"
	"tend/client"
	"tend/internal/home"
)

func TestCodeOf(t *testing.T) {
	exited := func(code int) api.Instance { return api.Instance{State: api.Stopped, Exited: true, ExitCode: code} }
	tests := map[string]struct {
		list []api.Instance
		want exitCode
	}{
		"nothing":                     {nil, codeNothing},
		"what never ran":              {[]api.Instance{{State: api.Stopped}}, codeNothing},
		"one":                         {[]api.Instance{exited(3)}, 3},
		"one that is content":         {[]api.Instance{exited(0)}, 0},
		"the first that failed":       {[]api.Instance{exited(0), exited(4), exited(3)}, 4},
		"a signal":                    {[]api.Instance{{State: api.Stopped, Exited: true, ExitSignal: "SIGKILL"}}, 137},
		"nobody knows":                {[]api.Instance{{State: api.Stopped, Exited: true, ExitUnknown: true}}, codeNothing},
		"it could not be started":     {[]api.Instance{{State: api.Errored}}, codeFailed},
		"it was given up with code 0": {[]api.Instance{{State: api.Errored, Exited: true}}, codeNothing},
		"it was given up":             {[]api.Instance{{State: api.Errored, Exited: true, ExitCode: 9}}, 9},
	}
	for name, tt := range tests {
		if got := codeOf(tt.list); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

// TestForegroundRefuses what it can know to be wrong, before anything is begun.
func TestForegroundRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"run":                      "missing required argument",
		"run start":                "a daemon was owned",
		"dev":                      "missing required argument",
		"run --web app.js":         "--web is not here",
		"run --delay -1 app.js":    "a time is not negative",
		"run --delay soon app.js":  `--delay: "soon" is not a number`,
		"attach":                   "missing required argument",
		"inspect":                  "missing required argument",
		"run app.js --unheard-of":  "unknown flag",
		"run --parallel no app.js": "is not a number above 0",
	} {
		env := world(t)
		env.Own = func(context.Context, home.Dir) error {
			return invalid("own", "", "", errors.New("a daemon was owned"))
		}
		if r := try(t, env, nil, strings.Fields(args)...); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %+v, want %q", args, r, want)
		}
	}
}

// TestTheEndOfWhatEndsAlready: where a whole control group is told to end, the
// daemon may leave over what tend run asks of it.
func TestTheEndOfWhatEndsAlready(t *testing.T) {
	env := world(t)
	leaves := &api.Error{Kind: "unavailable", Message: "the daemon leaves"}
	serve(t, env, &fakeDaemon{instances: instances(), refuse: map[string]*api.Error{"instances": leaves, "kill": leaves}})
	o := &owner{env: env, c: client.New(env.Home.Socket())}
	defer o.c.Close()
	if err := errors.Join(o.endApps(t.Context()), o.endDaemon(t.Context(), nil)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestAttach(t *testing.T) {
	env := world(t)
	env.Stdin = strings.NewReader("one\ntwo\n")
	d := &fakeDaemon{instances: instances()[:1]}
	r := try(t, env, d, "attach", "tick", ";")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("got %+v", r)
	}
	var got []string
	for _, q := range r.requests {
		if text, ok := strings.CutPrefix(q, "input "); ok {
			got = append(got, text)
		}
	}
	want := `{"targets":["0"],"line":"one","separator":";"} {"targets":["0"],"line":"two","separator":";"}`
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

func TestAttachToSeveral(t *testing.T) {
	r := try(t, world(t), &fakeDaemon{instances: instances()}, "attach", "api")
	if r.code != 1 || !strings.Contains(r.stderr, "name one of them: ") {
		t.Errorf("got %+v", r)
	}
}

// TestListAgain until somebody has seen enough.
func TestListAgain(t *testing.T) {
	env := world(t)
	serve(t, env, &fakeDaemon{instances: instances()})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	lists := 0
	r, w := io.Pipe()
	env.Stdout, env.Stderr = w, io.Discard
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"ls", "--watch"}, env)
		w.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		if lists += strings.Count(string(b[:n]), "┌"); lists >= 2 {
			cancel()
		}
		if err != nil {
			break
		}
	}
	if got := <-code; got != 0 || lists < 2 {
		t.Errorf("code %d after %d lists", got, lists)
	}
}

func TestInspectOfWhatIsNoNode(t *testing.T) {
	list := instances()[:1]
	list[0].Detail = &api.Detail{Spec: &api.Spec{Interpreter: "/usr/bin/python3"}}
	d := &fakeDaemon{instances: list, refuse: map[string]*api.Error{"trigger": {Kind: "not_found", Message: "no such action"}}}
	r := try(t, world(t), d, "inspect", "tick")
	if r.code != 0 || !strings.Contains(r.stderr, "it is no app of node") {
		t.Errorf("got %+v", r)
	}
	for _, q := range r.requests {
		if strings.HasPrefix(q, "instances ") {
			t.Errorf("it was signalled: %s", q)
		}
	}
}

// TestDaemonsDieDuringAStart: as long as one of those that follow has the apps,
// it is no reason to end them.
func TestDaemonsDieDuringAStart(t *testing.T) {
	for name, tt := range map[string]struct {
		there  []api.Instance
		broken bool
	}{
		"the next but one has the app": {instances(), false},
		"the start was lost":           {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			env.out = bufio.NewWriter(io.Discard)
			if err := os.WriteFile(filepath.Join(env.Cwd, "a.sh"), nil, 0o755); err != nil {
				t.Fatal(err)
			}
			d := &fakeDaemon{instances: tt.there}
			posted, looked := 0, 0
			l, err := net.Listen("unix", env.Home.Socket())
			if err != nil {
				t.Fatal(err)
			}
			srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					posted++
					panic(http.ErrAbortHandler)
				case posted > 0 && looked < 3:
					looked++
					panic(http.ErrAbortHandler)
				}
				d.ServeHTTP(w, r)
			})}}
			srv.Start()
			defer srv.Close()
			keeper, err := os.Create(env.Home.Lock())
			if err != nil {
				t.Fatal(err)
			}
			defer keeper.Close()
			if err := syscall.Flock(int(keeper.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			o := &owner{env: env, c: client.New(env.Home.Socket())}
			defer o.c.Close()
			err = o.start(t.Context(), startOptions{targets: []string{"./a.sh"}, started: new([]string)})
			if errors.Is(err, client.ErrBroken) != tt.broken || posted == 0 || looked < 3 {
				t.Errorf("got %v after %d starts and %d looks", err, posted, looked)
			}
		})
	}
}
