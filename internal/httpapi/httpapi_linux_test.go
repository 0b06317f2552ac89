package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/testkit"
)

// strangerVar makes this binary call the socket at its value, and print the
// status and the body of the answer.
const strangerVar = "TEND_TEST_CALL"

func TestMain(m *testing.M) {
	if socket, ok := os.LookupEnv(strangerVar); ok {
		res, err := over(socket).Get("http://tend/v1/ping")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(res.StatusCode)
		_, _ = io.Copy(os.Stdout, res.Body)
		os.Exit(0)
	}
	testkit.Main(m, func() error { return goleak.Find() })
}

func TestRoutes(t *testing.T) {
	d := serve(t, 0)
	if status, text := d.call("GET", "/v1/ping", nil); status != http.StatusOK || !strings.Contains(text, `"version":"v9"`) {
		t.Errorf("ping: %d %s", status, text)
	}
	if status, text := d.call("GET", "/v1/host", nil); status != http.StatusOK || !strings.HasPrefix(text, `{"at_ms":7,`) {
		t.Errorf("host: %d %s", status, text)
	}
	if _, text := d.call("GET", "/v1/instances", nil); text != "{\"instances\":[]}\n" {
		t.Errorf("an empty list is %s, want an empty array", text)
	}

	start := d.events("/v1/apps", api.StartRequest{Apps: []api.Spec{web()}})
	if diff := cmp.Diff([]api.Event{
		{Kind: api.EventStep, Act: "start", Name: "web", Step: &api.Step{Do: api.StepAdd, Name: "web", After: 1}},
		{Kind: api.EventApp, Act: "start", Name: "web", IDs: []int{0}, OK: true},
		{Kind: api.EventInstance, Act: "start", Name: "web", OK: true},
		{Kind: api.EventDone, OK: true},
	}, start); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	for path, req := range map[string]any{
		"/v1/message": api.MessageRequest{Targets: []string{"web"}, Message: json.RawMessage(`"hello"`)},
		"/v1/trigger": api.TriggerRequest{Targets: []string{"web"}, Action: "clear"},
		"/v1/input":   api.InputRequest{Targets: []string{"web"}, Line: "hello"},
	} {
		// It has no channel and no input here: that it is told so shows who was asked.
		events := d.events(path, req)
		if last := events[len(events)-1]; events[0].Kind != api.EventTarget || last.Error == nil || "/v1/"+last.Error.Op != path {
			t.Errorf("%s: %+v", path, events)
		}
	}
	if n := len(d.events("/v1/scale", api.ScaleRequest{Name: "web", Count: 3})); n != 4 {
		t.Errorf("scale told %d events, want 4", n)
	}
	for act, want := range map[string]api.State{api.ActRestart: api.Online, api.ActStop: api.Stopped} {
		events := d.events("/v1/instances", api.ActRequest{Act: act, Targets: []string{"web"}})
		if last := events[len(events)-1]; !last.OK || len(events) != 5 {
			t.Errorf("%s: %+v", act, events)
		}
		if list := d.list(""); len(list) != 3 || list[1].State != want {
			t.Errorf("after %s: %+v", act, list)
		}
	}
	events := d.events("/v1/instances", api.ActRequest{Act: api.ActStop, Targets: []string{"zzz"}})
	if last := events[len(events)-1]; last.OK || last.Error == nil || last.Error.Kind != string(errs.NotFound) {
		t.Errorf("stop of what is not there: %+v", events)
	}

	status, text := d.call("POST", "/v1/save", api.SaveRequest{})
	if want := fmt.Sprintf("{\"path\":%q,\"saved\":3}\n", d.home.Dump()); status != http.StatusOK || text != want {
		t.Errorf("save: %d %s, want %s", status, text, want)
	}
	if events := d.events("/v1/kill", struct{}{}); !events[len(events)-1].OK || len(d.list("")) != 0 {
		t.Errorf("kill: %+v", events)
	}
	if diff := cmp.Diff([]bool{true}, d.left); diff != "" {
		t.Errorf("left after kill (-want +got):\n%s", diff)
	}
	if events := d.events("/v1/resurrect", struct{}{}); !events[len(events)-1].OK || len(d.list("")) != 3 {
		t.Errorf("resurrect: %+v", events)
	}
	if diff := cmp.Diff([]string{"stopping with 3", "restored with 3"}, d.tellings); diff != "" {
		t.Errorf("told the init system (-want +got):\n%s", diff)
	}
}

func TestUpdateLeavesOnlyWhenItWentWell(t *testing.T) {
	d := serve(t, 0)
	d.refuse = &errs.Error{Op: "update to", On: "/new", Kind: errs.Invalid, Err: errors.New("it does not run")}
	req := api.UpdateRequest{Daemon: "/new/tend-daemon", Keeper: "/new/tend-keeper"}
	d.refused(http.StatusBadRequest, errs.Invalid, "POST", "/v1/update", req)
	if len(d.left) != 0 {
		t.Error("the daemon leaves, and nothing would follow")
	}
	d.refuse = nil
	status, text := d.call("POST", "/v1/update", req)
	if status != http.StatusOK || !strings.Contains(text, `"pid":42`) {
		t.Errorf("%d %s, want who leaves", status, text)
	}
	if diff := cmp.Diff([]api.UpdateRequest{req, req}, d.updates); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	testkit.WaitFor(t, soon, "the daemon leaves", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.left) == 1 && !d.left[0]
	})
}

func TestLogRoutes(t *testing.T) {
	d := serve(t, 2)
	rows := d.list("")
	fill := func() {
		for _, row := range rows {
			if err := os.WriteFile(row.OutFile, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	sizes := func() (all []int64) {
		for _, row := range rows {
			fi, err := os.Stat(row.OutFile)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fi.Size())
		}
		return all
	}
	for body, want := range map[string][]int64{`{"targets":["1"]}`: {4, 0}, `{"targets":[]}`: {0, 0}, `{}`: {0, 0}} {
		fill()
		if status, text := d.call("POST", "/v1/logs/flush", body); status != http.StatusOK {
			t.Errorf("flush %s: %d %s", body, status, text)
		}
		if diff := cmp.Diff(want, sizes()); diff != "" {
			t.Errorf("sizes after flush %s (-want +got):\n%s", body, diff)
		}
	}
	d.refused(http.StatusNotFound, errs.NotFound, "POST", "/v1/logs/flush", `{"targets":["zzz"]}`)
	if status, text := d.call("POST", "/v1/logs/reload", "{}"); status != http.StatusOK {
		t.Errorf("reload: %d %s", status, text)
	}
}

func TestBadRequests(t *testing.T) {
	d := serve(t, 1)
	for path, method := range map[string]string{
		"/v1/ping": "POST", "/v1/host": "POST", "/v1/instances": "DELETE", "/v1/events": "POST", "/v1/apps": "GET", "/v1/scale": "GET", "/v1/save": "GET",
		"/v1/message": "GET", "/v1/trigger": "GET", "/v1/input": "GET",
		"/v1/resurrect": "GET", "/v1/kill": "GET", "/v1/update": "GET", "/v1/profile": "POST", "/v1/logs/reload": "GET", "/v1/logs/flush": "PUT",
	} {
		if status, text := d.call(method, path, nil); status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %s, want 405", method, path, status, text)
		}
	}
	for _, path := range []string{"/", "/ping", "/v2/ping", "/v1/nothing", "/debug/pprof/", "/v1/debug/pprof/"} {
		if status, _ := d.call("GET", path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
	for _, path := range []string{
		"/v1/instances", "/v1/apps", "/v1/scale", "/v1/save", "/v1/update", "/v1/logs/flush", "/v1/message", "/v1/trigger", "/v1/input",
	} {
		for what, body := range map[string]string{
			"no body": "", "half a body": `{"act":`, "an array": `[]`, "text": "stop all",
			"a field of the future": `{"of_the_future":1}`,
		} {
			t.Run(path+" with "+what, func(t *testing.T) {
				d.refused(http.StatusBadRequest, errs.Invalid, "POST", path, body)
			})
		}
	}
	if len(d.updates) != 0 || len(d.left) != 0 || len(d.list("")) != 1 {
		t.Errorf("they had effects: %v %v %v", d.updates, d.left, d.list(""))
	}
	d.refused(http.StatusNotFound, errs.NotFound, "GET", "/v1/instances?target=zzz", nil)
	d.refused(http.StatusBadRequest, errs.Invalid, "GET", "/v1/instances?target="+url.QueryEscape("/(/"), nil)
}

func TestATooLargeBodyIsRefused(t *testing.T) {
	d := serve(t, 0)
	body := io.MultiReader(
		strings.NewReader(`{"act":"`), io.LimitReader(endless('x'), maxBody), strings.NewReader(`"}`),
	)
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	sent := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(c, "POST /v1/instances HTTP/1.1\r\nHost: tend\r\nContent-Length: %d\r\n\r\n", maxBody+len(`{"act":""}`))
		if err == nil {
			_, err = io.Copy(c, body)
		}
		sent <- err
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "too large") {
		t.Errorf("%d %.200s, want a refusal", res.StatusCode, text)
	}
	_ = c.Close()
	<-sent
}

type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

func TestAThousandInstances(t *testing.T) {
	const n = 1000
	d := serve(t, n)
	list := d.list("")
	if len(list) != n {
		t.Fatalf("%d instances, want %d", len(list), n)
	}
	for i, in := range list {
		if in.ID != i || in.Index != i || in.Detail != nil || in.State != api.Stopped {
			t.Fatalf("instance %d is %+v", i, in)
		}
	}
	for query, want := range map[string]int{
		"?target=web": n, "?target=all": n, "?target=front": n, "?target=7": 1, "?target=7&target=9": 2, "?target=7&target=7": 1,
		"?target=" + url.QueryEscape("/^w/"): n, "?target=web&cwd=/opt": n, "?target=./web&cwd=/opt": n,
	} {
		if got := len(d.list(query)); got != want {
			t.Errorf("%s: %d instances, want %d", query, got, want)
		}
	}
	detail := d.list("?detail=1")
	if len(detail) != n || detail[n-1].ID != n-1 || detail[n-1].Detail == nil || detail[n-1].Detail.Spec.Script != "/opt/web" {
		t.Errorf("%d in detail, the last is %+v", len(detail), detail[len(detail)-1])
	}
	if one := d.list("?detail=1&target=7"); len(one) != 1 || one[0].ID != 7 {
		t.Errorf("in detail: %+v", one)
	}
}

func TestAClientThatGoesAwayStopsNothing(t *testing.T) {
	d := serve(t, 0)
	d.events("/v1/apps", api.StartRequest{Apps: []api.Spec{func() api.Spec { s := web(); s.Instances = 6; return s }()}})
	hold := make(chan struct{})
	d.k.hold = hold
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tend/v1/instances",
		strings.NewReader(`{"act":"restart","targets":["all"]}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil { // it is under way
		t.Fatal(err)
	}
	cancel()
	res.Body.Close()
	close(hold)
	// Two are restarted at once; the others follow though nobody listens.
	testkit.WaitFor(t, soon, "all are restarted", func() bool {
		for _, in := range d.list("") {
			if in.Restarts != 1 || in.State != api.Online {
				return false
			}
		}
		return true
	})
}

func TestAClientThatDoesNotReadStallsNobody(t *testing.T) {
	d := serve(t, 500)
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	targets := strings.Repeat(`"all",`, 40) + `"all"` // 20,000 events: more than any buffer between us
	body := `{"act":"reset","targets":[` + targets + `]}`
	if _, err := fmt.Fprintf(c, "POST /v1/instances HTTP/1.1\r\nHost: tend\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil { // it is under way
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { c.Close() })
	for range 20 {
		if n := len(d.list("")); n != 500 {
			t.Fatalf("%d instances", n)
		}
	}
	if events := d.events("/v1/instances", api.ActRequest{Act: api.ActStart, Targets: []string{"7"}}); !events[len(events)-1].OK {
		t.Errorf("%+v", events)
	}
	if !limit.Stop() {
		t.Error("others waited until it left")
	}
	c.Close()
}

func TestRunEndsAllRequests(t *testing.T) {
	// The cleanup of serve waits for Run, with a request that waits for ever.
	d := serve(t, 0)
	d.events("/v1/apps", api.StartRequest{Apps: []api.Spec{web()}})
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) }) // before that of serve: what is done aside is waited for
	d.k.hold = hold
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	body := `{"act":"stop","targets":["all"]}`
	if _, err := fmt.Fprintf(c, "POST /v1/instances HTTP/1.1\r\nHost: tend\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		peer any // in the context of the request
		who  access
		want int
	}{
		"the daemon's user":       {peer{uid: os.Geteuid(), known: true}, owner, http.StatusOK},
		"root":                    {peer{uid: 0, known: true}, owner, http.StatusOK},
		"another user":            {peer{uid: 65534, known: true}, owner, http.StatusForbidden},
		"nobody knows who":        {peer{uid: os.Geteuid()}, owner, http.StatusForbidden},
		"no peer at all":          {nil, owner, http.StatusForbidden},
		"a route without a right": {peer{uid: 0, known: true}, 0, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			called := false
			h := guard(test.who, func(w http.ResponseWriter, _ *http.Request) { called = true; w.WriteHeader(http.StatusOK) })
			w := &recorder{header: http.Header{}}
			r, err := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, test.peer), http.MethodGet, "/v1/ping", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			h.ServeHTTP(w, r)
			if w.status != test.want || called != (test.want == http.StatusOK) {
				t.Errorf("status %d, called: %v; want %d", w.status, called, test.want)
			}
			if test.want == http.StatusForbidden && !strings.Contains(w.body.String(), `"kind":"denied"`) {
				t.Errorf("told %s", w.body.String())
			}
		})
	}
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// TestAnotherUserIsRefused has a process of another user call, through a
// socket that somebody opened to all.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may act for another user")
	}
	const nobody = 65534
	d := serve(t, 0)
	// A copy of this binary and a way to it that others may go.
	self, err := os.ReadFile(testkit.Self(t))
	if err != nil {
		t.Fatal(err)
	}
	caller := filepath.Join(string(d.home), "caller")
	if err := os.WriteFile(caller, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{string(d.home), d.socket, caller} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	call := func(cred *syscall.Credential) string {
		cmd := exec.CommandContext(t.Context(), caller)
		cmd.Dir, cmd.Env = "/", []string{strangerVar + "=" + d.socket}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := call(nil); !strings.HasPrefix(got, "200\n") {
		t.Errorf("the daemon's user got %s", got)
	}
	got := call(&syscall.Credential{Uid: nobody, Gid: nobody})
	if !strings.HasPrefix(got, "403\n") || !strings.Contains(got, `"kind":"denied"`) || !strings.Contains(got, "user 65534 may not") {
		t.Errorf("another user got %s", got)
	}
}

func TestSettings(t *testing.T) {
	d := serve(t, 0)
	if _, text := d.call("GET", "/v1/settings", nil); !strings.HasPrefix(text, `{"values":{},"rotation":{"max_size_bytes":104857600`) {
		t.Errorf("without settings: %s", text)
	}
	status, text := d.call("POST", "/v1/settings", api.SettingsRequest{Set: []api.Setting{
		{Key: "pm2-logrotate:max_size", Value: "10M"}, {Key: "pm2-logrotate:TZ", Value: "UTC"}, {Key: "mail:password", Value: "hunter2"},
	}})
	var got api.Settings
	if err := json.Unmarshal([]byte(text), &got); status != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v: %s", status, err, text)
	}
	if got.Rotation.MaxSize != 10<<20 || d.rotation != got.Rotation || len(got.Notes) != 1 {
		t.Errorf("got %+v, applied %+v", got, d.rotation)
	}
	if _, text := d.call("GET", "/v1/settings", nil); !strings.Contains(text, `"mail":{"password":"hunter2"}`) {
		t.Errorf("now: %s", text)
	}
	d.refused(http.StatusBadRequest, errs.Invalid, "POST", "/v1/settings", api.SettingsRequest{Set: []api.Setting{{Key: "pm2-logrotate:retain", Value: "x"}}})
	d.refused(http.StatusNotFound, errs.NotFound, "POST", "/v1/settings", api.SettingsRequest{Unset: []string{"zzz"}})
	d.refused(http.StatusBadRequest, errs.Invalid, "POST", "/v1/settings", `{"sett": []}`)
	if d.rotation != got.Rotation {
		t.Errorf("a refused setting was applied: %+v", d.rotation)
	}
	log := d.log.String()
	if strings.Contains(log, "hunter2") || !strings.Contains(log, "mail:password") {
		t.Errorf("the log should have what was set, and not to what:\n%s", log)
	}
}

// Who asked is the peer that the kernel names, and questions are not logged.
func TestLogNamesThePeer(t *testing.T) {
	d := serve(t, 1)
	before := d.log.String()
	d.list("")
	d.call("GET", "/v1/ping", nil)
	d.call("GET", "/v1/settings", nil)
	if now := d.log.String(); now != before {
		t.Errorf("questions were logged:\n%s", strings.TrimPrefix(now, before))
	}
	who := fmt.Sprintf(`by="user %d, pid %d"`, os.Geteuid(), os.Getpid())
	for path, req := range map[string]any{
		"/v1/instances": api.ActRequest{Act: api.ActReset, Targets: []string{"web"}}, "/v1/save": api.SaveRequest{},
		"/v1/logs/reload": nil, "/v1/logs/flush": `{"targets":["web"]}`, "/v1/scale": api.ScaleRequest{Name: "web", Count: 2},
	} {
		before := d.log.String()
		if status, text := d.call("POST", path, req); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
		if now := strings.TrimPrefix(d.log.String(), before); !strings.Contains(now, who) {
			t.Errorf("%s: want %s in the log, got:\n%s", path, who, now)
		}
	}
}
