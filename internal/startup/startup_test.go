package startup

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// variants are one service for each text that there is.
func variants() map[string]Service {
	plain := Service{Program: "/usr/local/bin/tend", Home: "/home/deploy/.tend", User: "deploy", UserHome: "/home/deploy", Name: "tend-deploy"}
	odd := plain
	odd.Program, odd.Home, odd.User, odd.Name = `/opt/my tools/100%/tend`, `/srv/it's $HOME "x"\y&<z>`, "web.app", "web.app-1"
	out := map[string]Service{}
	for _, p := range Platforms() {
		s, o := plain, odd
		s.System, o.System = System(p), System(p)
		out[p], out[p+"-odd"] = s, o
	}
	online := plain
	online.System, online.Online = Systemd, true
	out["systemd-online"] = online
	return out
}

func TestTexts(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			install, err := s.Install()
			if err != nil {
				t.Fatal(err)
			}
			remove, err := s.Uninstall()
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, e := range slices.Concat(install, remove) {
				switch {
				case e.Write != "":
					b.WriteString("# write " + e.Write + " " + e.Mode.String() + "\n" + e.Text)
				case e.Remove != "":
					b.WriteString("# remove " + e.Remove + "\n")
				default:
					b.WriteString("# run " + strings.Join(e.Run, " ") + "\n")
				}
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b.String(), string(want)); diff != "" {
				t.Errorf("%s (-got +want; -update if it is right):\n%s", path, diff)
			}
		})
	}
}

// installed is the text of the service's file.
func installed(t *testing.T, s Service) string {
	t.Helper()
	effects, err := s.Install()
	if err != nil {
		t.Fatal(err)
	}
	return effects[0].Text
}

func TestNoVersionOfNode(t *testing.T) {
	for name, s := range variants() {
		text := installed(t, s)
		for _, word := range []string{"node", "nvm", os.Getenv("PATH")} {
			if word != "" && strings.Contains(text, word) {
				t.Errorf("%s holds %q:\n%s", name, word, text)
			}
		}
	}
}

func TestSystemdVerifies(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range variants() {
		if s.System != Systemd && s.System != SystemdUser {
			continue
		}
		t.Run(name, func(t *testing.T) {
			// It looks for what a unit starts, and at who is to run it.
			dir := t.TempDir()
			s.Program, s.User = filepath.Join(dir, filepath.Base(s.Program)), me.Username
			if strings.Contains(name, "odd") {
				s.Program = filepath.Join(dir, "my tools 100%", "tend")
			}
			if err := os.MkdirAll(filepath.Dir(s.Program), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.Program, nil, 0o755); err != nil {
				t.Fatal(err)
			}
			unit := filepath.Join(dir, s.Name+".service")
			if err := os.WriteFile(unit, []byte(installed(t, s)), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", "--man=no", unit}
			if s.System == SystemdUser {
				args = append([]string{"--user"}, args...)
			}
			cmd := exec.Command(analyze, args...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
			out, err := cmd.CombinedOutput()
			// What it says of other units of this machine is not ours.
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, filepath.Base(unit)) {
					t.Errorf("systemd-analyze: %s", line)
				}
			}
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestShells has a shell read the scripts of every variant.
func TestShells(t *testing.T) {
	for name, s := range variants() {
		text := installed(t, s)
		if !strings.HasPrefix(text, "#!") {
			continue
		}
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s\n%s", name, err, out, text)
		}
	}
}

func TestXMLIsWhole(t *testing.T) {
	for name, s := range variants() {
		if s.System != Launchd && s.System != SMF {
			continue
		}
		d := xml.NewDecoder(strings.NewReader(installed(t, s)))
		d.Strict = true
		found := false
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch token := token.(type) {
			case xml.CharData:
				found = found || string(token) == s.Home
			case xml.StartElement:
				found = found || slices.ContainsFunc(token.Attr, func(a xml.Attr) bool { return a.Value == s.Home })
			}
		}
		if !found {
			t.Errorf("%s: the home %q is not read back", name, s.Home)
		}
	}
}

// TestLSBRuns runs the script with a program in tend's place.
func TestLSBRuns(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), `it's "a" place`)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := Service{System: SystemV, Program: filepath.Join(dir, "tend"), Home: filepath.Join(dir, "$HOME"), User: me.Username, UserHome: "/", Name: "tend-x"}
	if err := os.WriteFile(s.Program, []byte("#!/bin/sh\necho \"$TEND_HOME|$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte(installed(t, s)), 0o755); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{
		"start": "resurrect", "stop": "kill", "reload": "reload all", "force-reload": "reload all", "status": "list",
		"restart": "kill\n" + s.Home + "|resurrect",
	} {
		out, err := exec.Command("sh", script, word).CombinedOutput()
		if got, want := string(out), s.Home+"|"+want+"\n"; err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", word, got, err, want)
		}
	}
	if err := exec.Command("sh", script, "nonsense").Run(); err == nil {
		t.Error("an unknown word succeeds")
	}
}

func TestDetect(t *testing.T) {
	tests := map[string]struct {
		has  []string
		want System
	}{
		"systemd before what it brings along": {[]string{"update-rc.d", "systemctl", "chkconfig"}, Systemd},
		"debian without systemd":              {[]string{"update-rc.d"}, Upstart},
		"alpine":                              {[]string{"rc-update"}, OpenRC},
		"a mac":                               {[]string{"launchctl"}, Launchd},
		"nothing":                             {nil, ""},
	}
	for name, tt := range tests {
		got, err := Detect(func(p string) bool { return slices.Contains(tt.has, p) })
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

func TestNamed(t *testing.T) {
	for name, want := range map[string]System{
		"ubuntu": Systemd, "centos6": SystemV, "ubuntu14": Upstart, "macos": Launchd, "FreeBSD": RCD, "openbsd": RCDOpenBSD, "sunos": SMF,
	} {
		if got, err := Named(name); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
	for _, p := range Platforms() {
		if got, err := Named(p); string(got) != p || err != nil {
			t.Errorf("%s: got %q, %v", p, got, err)
		}
	}
	if got, err := Named("beos"); err == nil {
		t.Errorf("beos: got %q, want an error", got)
	}
}

// TestNothingIsInjected: whatever a service is called, either it is refused or
// its file has the lines that any other has.
func TestNothingIsInjected(t *testing.T) {
	lines := map[System]int{}
	for _, s := range variants() {
		lines[s.System] = max(lines[s.System], strings.Count(installed(t, s), "\n"))
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z\n ;$%'"\\<&-]{0,12}`))
		s := Service{
			System:  System(rapid.SampledFrom(Platforms()).Draw(t, "system")),
			Program: "/" + text.Draw(t, "program"), Home: "/" + text.Draw(t, "home"), UserHome: "/" + text.Draw(t, "user's home"),
			User: text.Draw(t, "user"), Name: text.Draw(t, "name"),
		}
		if rapid.Bool().Draw(t, "plain names") {
			s.User, s.Name = "deploy", "tend-deploy"
		}
		effects, err := s.Install()
		if err != nil {
			return
		}
		if n := strings.Count(effects[0].Text, "\n"); n > lines[s.System] {
			t.Errorf("%d lines, more than %d:\n%s", n, lines[s.System], effects[0].Text)
		}
		for _, e := range effects[1:] {
			if slices.ContainsFunc(e.Run[1:], func(w string) bool {
				return strings.HasPrefix(w, "-") && !slices.Contains([]string{"--user", "--add"}, w)
			}) {
				t.Errorf("a name became an option: %q", e.Run)
			}
		}
	})
}

// TestShellWords: a shell reads back what was quoted.
func TestShellWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z $'"\\;&|<>*?~#=%-]{0,10}`), 1, 40).Draw(t, "words")
		var script strings.Builder
		script.WriteString("printf '%s\\n'")
		for _, w := range words {
			script.WriteString(" " + ShellWord(w))
		}
		out, err := exec.Command("sh", "-c", script.String()).Output()
		if want := strings.Join(words, "\n") + "\n"; err != nil || string(out) != want {
			t.Fatalf("got %q, %v; want %q", out, err, want)
		}
	})
}

func TestMachine(t *testing.T) {
	root := t.TempDir()
	var ran [][]string
	boom := errors.New("exit status 1")
	m := Machine{Root: root, Run: func(_ context.Context, argv []string) ([]byte, error) {
		ran = append(ran, argv)
		if argv[0] == "false" {
			return []byte("it is masked\n"), boom
		}
		return nil, nil
	}}
	s := variants()["systemd"]
	install, err := s.Install()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more changes nothing
		for _, e := range install {
			if err := m.Do(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(root, s.File())
	text, err := os.ReadFile(path)
	if err != nil || string(text) != installed(t, s) {
		t.Errorf("got %q, %v", text, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o644 || !m.Exists(s.File()) {
		t.Errorf("got %v, %v", fi, err)
	}
	want := [][]string{{"systemctl", "enable", "tend-deploy.service"}}
	if diff := cmp.Diff(ran, slices.Concat(want, want)); diff != "" {
		t.Errorf("commands (-got +want):\n%s", diff)
	}
	for range 2 {
		if err := m.Do(t.Context(), Effect{Remove: s.File()}); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || m.Exists(s.File()) {
		t.Errorf("it is still there: %v", err)
	}
	err = m.Do(t.Context(), Effect{Run: []string{"false", "x"}})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "it is masked") {
		t.Errorf("got %v, want the command's own words", err)
	}
}
