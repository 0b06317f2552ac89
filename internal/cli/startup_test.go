package cli

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tend/internal/home"
	"tend/internal/startup"
)

// machine is an Env on a machine of its own: below a directory, with systemd,
// where commands are noted and not run.
func machine(t *testing.T, uid int) (env *Env, ran *[]string) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	env, ran = world(t), new([]string)
	env.Environ = []string{"HOME=" + me.HomeDir}
	env.Home = home.Dir(filepath.Join(me.HomeDir, ".tend"))
	env.Binaries = func() (string, string, error) { return "/opt/tend/bin/tend-daemon", "/opt/tend/bin/tend-keeper", nil }
	env.Machine = startup.Machine{
		Root: t.TempDir(), UID: uid,
		Has: func(program string) bool { return program == "systemctl" },
		Run: func(_ context.Context, argv []string) ([]byte, error) {
			*ran = append(*ran, strings.Join(argv, " "))
			if slices.Contains(argv, "tend-broken.service") {
				return []byte("it is masked\n"), errors.New("exit status 1")
			}
			return nil, nil
		},
	}
	return env, ran
}

func TestStartup(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	unit := "/etc/systemd/system/tend-" + me.Username + ".service"
	const root, anybody = 0, 1000
	tests := map[string]struct {
		args    string
		program string
		uid     int
		files   []string // that are there before
		code    int
		stdout  string // a part
		stderr  string // a part
		ran     []string
		written string // a file that is there afterwards
		holds   string // and what is in it
		removed string // a file that is not
	}{
		"root": {
			args: "startup", uid: root, stdout: "Init System found: systemd", ran: []string{"systemctl enable tend-" + me.Username + ".service"},
			written: unit, holds: "ExecStart=/opt/tend/bin/tend resurrect",
		},
		"not root: a command to copy": {
			args: "startup", uid: anybody, code: 1,
			stdout:  "\nsudo /opt/tend/bin/tend startup systemd -u " + me.Username + " --hp " + me.HomeDir + "\n",
			removed: unit,
		},
		"not root, with another home and name": {
			args: "startup --hp /srv/x --service-name web --wait-ip", uid: anybody, code: 1,
			stdout: " --hp /srv/x --service-name web --wait-ip\n",
		},
		"not root, called pm2": {
			args: "startup", program: "pm2", uid: anybody, code: 1,
			stdout: "\nsudo env TEND_HOME=/srv/h/.pm2 /opt/tend/bin/tend startup systemd -u " + me.Username + " --hp " + me.HomeDir + " --service-name pm2-" + me.Username + "\n",
		},
		"the home of --hp": {
			args: "startup -u " + me.Username + " --hp /srv/x", uid: root, written: unit, holds: "TEND_HOME=/srv/x/.tend\n", ran: []string{"systemctl enable tend-" + me.Username + ".service"},
		},
		"--wait-ip": {
			args: "startup --wait-ip", uid: root, written: unit, holds: "After=network-online.target", ran: []string{"systemctl enable tend-" + me.Username + ".service"},
		},
		"another init system": {
			args: "startup openrc --service-name web", uid: root, stderr: "this machine has systemd, and you ask for openrc",
			written: "/etc/init.d/web", holds: "#!/sbin/openrc-run", ran: []string{"rc-update add web default"},
		},
		"a unit of one's own needs no root": {
			args: "startup systemd-user", uid: anybody, stdout: "loginctl enable-linger " + me.Username,
			written: filepath.Join(me.HomeDir, ".config/systemd/user/tend.service"), holds: "WantedBy=default.target",
			ran: []string{"systemctl --user enable tend.service"},
		},
		"PM2's own unit": {
			args: "startup", uid: root, files: []string{"/etc/systemd/system/pm2-" + me.Username + ".service"}, stderr: "starts PM2 at boot as well",
			ran: []string{"systemctl enable tend-" + me.Username + ".service"},
		},
		"a command that fails": {
			args: "startup --service-name tend-broken", uid: root, code: 1, stderr: "it is masked", ran: []string{"systemctl enable tend-broken.service"},
		},
		"an unknown init system": {args: "startup beos", uid: root, code: 1, stderr: "no such init system is known\n      one of systemd-user, systemd"},
		"an unknown user":        {args: "startup -u nobody-of-this-name", uid: root, code: 1, stderr: "find user nobody-of-this-name"},
		"a name that is a path":  {args: "startup --service-name ../x", uid: root, code: 1, stderr: "--service-name"},
		"a home that is none":    {args: "startup -u " + me.Username + " --hp relative", uid: root, code: 1, stderr: "is no absolute path"},

		"unstartup": {
			args: "unstartup", uid: root, files: []string{unit, "/run/systemd/system"}, removed: unit, stdout: "Init file disabled.",
			ran: []string{"systemctl disable tend-" + me.Username + ".service", "systemctl daemon-reload"},
		},
		"unstartup where an image is made": {
			args: "unstartup", uid: root, files: []string{unit}, removed: unit, stdout: "Init file disabled.",
			ran: []string{"systemctl disable tend-" + me.Username + ".service"},
		},
		"unstartup of nothing": {args: "unstartup", uid: root, code: 1, stderr: "nothing was set up under this name"},
		"unstartup that fails": {
			args: "unstartup --service-name tend-broken", uid: root, files: []string{"/etc/systemd/system/tend-broken.service"}, code: 1,
			stderr: "it is masked", written: "/etc/systemd/system/tend-broken.service", ran: []string{"systemctl disable tend-broken.service"},
		},
		"unstartup without root": {
			args: "unstartup", uid: anybody, files: []string{unit}, code: 1, written: unit, stdout: "\nsudo /opt/tend/bin/tend unstartup systemd -u ",
		},

		"logrotate": {
			args: "logrotate", uid: root, written: "/etc/logrotate.d/tend-" + me.Username, holds: "\tcopytruncate\n", stderr: "rotates logs by itself",
		},
		"logrotate without root": {args: "logrotate", uid: anybody, code: 1, stdout: "\nsudo env TEND_HOME=", removed: "/etc/logrotate.d/tend-" + me.Username},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env, ran := machine(t, tt.uid)
			if tt.program != "" {
				env.Program, env.Home = tt.program, "/srv/h/.pm2"
			}
			for _, f := range tt.files {
				path := filepath.Join(env.Machine.Root, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := try(t, env, nil, strings.Fields(tt.args)...)
			if r.code != tt.code || !strings.Contains(r.stdout, tt.stdout) || !strings.Contains(r.stderr, tt.stderr) {
				t.Errorf("got code %d, want %d, with %q and %q:\n%s\n%s", r.code, tt.code, tt.stdout, tt.stderr, r.stdout, r.stderr)
			}
			if diff := cmp.Diff(*ran, tt.ran, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("commands (-got +want):\n%s", diff)
			}
			if tt.written != "" {
				if text, err := os.ReadFile(filepath.Join(env.Machine.Root, tt.written)); err != nil || !strings.Contains(string(text), tt.holds) {
					t.Errorf("got %q, %v; want %q in it", text, err, tt.holds)
				}
			}
			if tt.removed != "" && env.Machine.Exists(tt.removed) {
				t.Errorf("%s is there", tt.removed)
			}
		})
	}
}
