package home

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tend/internal/errs"
)

func TestFind(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env     map[string]string
		program string
		want    string
	}{
		"the home of a user":         {map[string]string{"HOME": "/home/ann"}, "/usr/bin/tend", "/home/ann/.tend"},
		"called pm2":                 {map[string]string{"HOME": "/home/ann"}, "/usr/bin/pm2", "/home/ann/.pm2"},
		"called pm2-runtime":         {map[string]string{"HOME": "/home/ann"}, "pm2-runtime", "/home/ann/.pm2"},
		"called pm2-dev":             {map[string]string{"HOME": "/home/ann"}, "pm2-dev", "/home/ann/.pm2-dev"},
		"no home at all":             {nil, "tend", "/etc/.tend"},
		"no home at all, called pm2": {nil, "pm2", "/etc/.pm2"},
		"TEND_HOME":                  {map[string]string{"HOME": "/home/ann", "TEND_HOME": "/srv/t"}, "pm2", "/srv/t"},
		"PM2_HOME":                   {map[string]string{"HOME": "/home/ann", "PM2_HOME": "/srv/p"}, "tend", "/srv/p"},
		"both":                       {map[string]string{"TEND_HOME": "/srv/t", "PM2_HOME": "/srv/p"}, "tend", "/srv/t"},
		"an empty one is none":       {map[string]string{"HOME": "/home/ann", "TEND_HOME": "", "PM2_HOME": ""}, "tend", "/home/ann/.tend"},
		"a relative one":             {map[string]string{"TEND_HOME": "a/../b"}, "tend", filepath.Join(cwd, "b")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Find(func(name string) string { return test.env[name] }, test.program)
			if err != nil || string(got) != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestFilesAreLaidOutAsThoseOfPM2(t *testing.T) {
	const d = Dir("/h")
	for got, want := range map[string]string{
		d.Socket(): "/h/tend.sock", d.Lock(): "/h/tend.lock", d.Log(): "/h/tend.log", d.Pid(): "/h/tend.pid",
		d.Journal(): "/h/journal", d.Dump(): "/h/dump.pm2", d.DumpBackup(): "/h/dump.pm2.bak", d.LastList(): "/h/last.pm2",
		d.Settings(): "/h/module_conf.json",
		d.Logs():     "/h/logs", d.Pids(): "/h/pids",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// short is a new directory with a path that leaves room for a socket's.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "home") //nolint:usetesting // its path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestMake(t *testing.T) {
	d := Dir(filepath.Join(short(t), "a", "b"))
	for range 2 { // the second finds everything there
		if err := d.Make(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{string(d), d.Logs(), d.Pids()} {
		fi, err := os.Stat(p)
		if err != nil || fi.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s has mode %v, %v; want a directory closed to others", p, fi.Mode(), err)
		}
	}
}

func TestMakeClosesAHomeToOthers(t *testing.T) {
	d := Dir(short(t))
	if err := os.Chmod(string(d), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(string(d), "dump.pm2")
	if err := os.WriteFile(file, []byte("[]"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(string(d)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v; want 0700", fi.Mode(), err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "[]" {
		t.Errorf("a file in it is now %q, %v", b, err)
	}
}

func TestMakeRefuses(t *testing.T) {
	dir := short(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, "home", "logs")
	if err := os.MkdirAll(filepath.Dir(logs), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir  string
		kind errs.Kind
		text string
	}{
		"a path too long for a socket":     {"/tmp/" + strings.Repeat("a", 90), errs.Invalid, "the path of its socket has 105 bytes, a unix socket allows 103"},
		"a file in its place":              {file, errs.Invalid, "not a directory"},
		"a file above it":                  {file + "/home", errs.Invalid, "not a directory"},
		"a file in the place of its parts": {filepath.Dir(logs), errs.Invalid, "not a directory"},
		"a place without files":            {"/proc/tend", errs.Internal, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Dir(test.dir).Make()
			var e *errs.Error
			if !errors.As(err, &e) || e.Kind != test.kind || e.Hint == "" || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v of kind %s, want %q of kind %s, with a hint", err, errs.KindOf(err), test.text, test.kind)
			}
		})
	}
}

func TestALongestPathIsTaken(t *testing.T) {
	base := short(t)
	d := Dir(filepath.Join(base, strings.Repeat("a", maxSocketPath-len(base)-len("//tend.sock"))))
	if n := len(d.Socket()); n != maxSocketPath {
		t.Fatalf("the test's path has %d bytes", n)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	// That such a socket really can be made is the point of the number.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: d.Socket()}); err != nil {
		t.Errorf("bind: %v", err)
	}
}

// homeVar makes this test binary make that home and print the kind of the
// error: a user other than root needs a process of its own.
const homeVar = "TEND_TEST_MAKE_HOME"

func TestMain(m *testing.M) {
	dir, ok := os.LookupEnv(homeVar)
	if !ok {
		os.Exit(m.Run())
	}
	err := Dir(dir).Make()
	os.Stdout.WriteString(string(errs.KindOf(err)))
	if err != nil {
		os.Stdout.WriteString(" " + err.Error())
	}
	os.Exit(0)
}

// asNobody makes the home dir as a user who is nobody.
func asNobody(t *testing.T, dir string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	at := short(t)
	exe := filepath.Join(at, "home.test") // where nobody may run it
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir, cmd.Env = "/", []string{homeVar + "=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestAHomeOfAnotherUser(t *testing.T) {
	dir := short(t)
	if err := Dir(dir).Make(); err != nil {
		t.Fatal(err)
	}
	// Its parts are there and may be looked at; it still is not his.
	for _, p := range []string{dir, Dir(dir).Logs(), Dir(dir).Pids()} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if got := asNobody(t, dir); !strings.HasPrefix(got, "denied ") || !strings.Contains(got, "it belongs to user 0 and you are user 65534") {
		t.Errorf("%q, want it to be denied, for whose it is", got)
	}
}

func TestAPlaceNobodyMayWriteTo(t *testing.T) {
	dir := short(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := asNobody(t, filepath.Join(dir, "home")); !strings.HasPrefix(got, "denied ") || !strings.Contains(got, "permission denied") {
		t.Errorf("%q, want it to be denied", got)
	}
}
