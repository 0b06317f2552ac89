package keeper

import (
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/internal/app"
	"tend/internal/keeper/wire"
)

// report has a shell print the limits and the umask that it has.
func report(key string) wire.Spawn {
	return shell(key, `umask; cat /proc/self/limits; echo env=$A; pwd; id -u`)
}

// limitLine is what text says of one limit, its blanks made one.
func limitLine(text, name string) string {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return ""
}

func TestLimitsAndUmask(t *testing.T) {
	l := adopted(t)
	plain := output(t, l.spawn(report("plain")).pipes[0])

	m := report("limited")
	m.Env = append(m.Env, "A=one", "GOMEMLIMIT=nonsense", "GODEBUG=inittrace=1")
	m.Dir = "/usr"
	m.SetUmask, m.Umask = true, 0o027
	m.Limits = []wire.Limit{
		{Name: "nofile", Soft: 64, Hard: 128},
		{Name: "core", Soft: 0, Hard: wire.Unlimited},
		{Name: "nproc", Soft: 4000, Hard: 5000},
		// Less than the runtime of the keeper's own program has reserved.
		{Name: "as", Soft: 64 << 20, Hard: 64 << 20},
	}
	c := l.spawn(m)
	got := output(t, c.pipes[0])
	if !strings.HasPrefix(got, "0027\n") {
		t.Errorf("umask is not 0027:\n%s", got)
	}
	for name, want := range map[string]string{
		"Max open files": "64 128 files", "Max core file size": "0 unlimited bytes", "Max processes": "4000 5000 processes",
		"Max address space": "67108864 67108864 bytes",
	} {
		if have := limitLine(got, name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	if !strings.Contains(got, "env=one\n/usr\n") {
		t.Errorf("environment and directory are not as asked:\n%s", got)
	}
	if e := output(t, c.pipes[1]); e != "" {
		t.Errorf("on standard error: %s", e)
	}

	// Who asks for none has what the keeper was started with, before and after.
	after := output(t, l.spawn(report("after")).pipes[0])
	if after != plain {
		t.Errorf("a process without limits has\n%swant\n%s", after, plain)
	}
	m = report("only core")
	m.Limits = []wire.Limit{{Name: "core", Soft: 0, Hard: 0}}
	got = output(t, l.spawn(m).pipes[0])
	if have, want := limitLine(got, "Max open files"), limitLine(plain, "Max open files"); have != want {
		t.Errorf("open files of a process that asked for none: %q, want %q", have, want)
	}
}

// TestResources: what an app may ask for is what a keeper knows.
func TestResources(t *testing.T) {
	if diff := cmp.Diff(app.LimitNames(), slices.Sorted(maps.Keys(resources))); diff != "" {
		t.Errorf("(-asked for +known):\n%s", diff)
	}
}

// TestLimitedProcess: it is a process like others, from its first moment.
func TestLimitedProcess(t *testing.T) {
	l := adopted(t)
	l.spawn(shell("first", "exec sleep 100"))
	before := l.descriptors()
	m := shell("a", "ls -l /proc/self/fd | wc -l; exit 7")
	m.Limits = []wire.Limit{{Name: "core"}}
	c := l.spawn(m)
	same := shell("b", "ls -l /proc/self/fd | wc -l; exit 7")
	d := l.spawn(same)
	if got, want := output(t, c.pipes[0]), output(t, d.pipes[0]); got != want {
		t.Errorf("%s descriptors are open in it, want %s", got, want)
	}
	if e := l.exit("a"); e.PID != c.PID || !e.Known || syscall.WaitStatus(e.Status).ExitStatus() != 7 {
		t.Errorf("exit %+v, want code 7", e)
	}
	l.exit("b")
	if now := l.descriptors(); now < before {
		t.Errorf("%d descriptors are open in the keeper, %d before", now, before)
	}
	env := strings.Repeat("x", 100_000)
	m = shell("large", "echo ${#V0} ${#V9}")
	m.Limits = []wire.Limit{{Name: "as", Soft: 32 << 20, Hard: 32 << 20}, {Name: "data", Soft: 16 << 20, Hard: 16 << 20}}
	for _, n := range "0123456789" {
		m.Env = append(m.Env, "V"+string(n)+"="+env)
	}
	if got := output(t, l.spawn(m).pipes[0]); got != "100000 100000\n" {
		t.Errorf("with a large environment and little memory it says %q", got)
	}
}

func TestLimitedAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	l := adopted(t)
	m := shell("nobody", "id -u; id -g; id -G; ulimit -Hn")
	m.AsUser, m.UID, m.GID, m.Groups = true, 65534, 65533, []uint32{65531}
	m.Limits = []wire.Limit{{Name: "nofile", Soft: 100, Hard: 100}}
	if got, want := output(t, l.spawn(m).pipes[0]), "65534\n65533\n65533 65531\n100\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLimitedRefused(t *testing.T) {
	l := adopted(t)
	before := l.descriptors()
	for name, test := range map[string]struct {
		change func(*wire.Spawn)
		errno  syscall.Errno
		text   string
	}{
		"no such program":   {func(m *wire.Spawn) { m.Path = "/nowhere/missing" }, syscall.ENOENT, ""},
		"no such directory": {func(m *wire.Spawn) { m.Dir = "/nowhere" }, syscall.ENOENT, ""},
		"a soft limit above the hard one": {
			func(m *wire.Spawn) { m.Limits = []wire.Limit{{Name: "nofile", Soft: 2, Hard: 1}} }, 0, "limit nofile: invalid argument",
		},
		"a limit of a newer version": {
			func(m *wire.Spawn) { m.Limits = []wire.Limit{{Name: "beer"}} }, 0, "limit beer: no such resource",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := shell("refused", "exit")
			m.Limits = []wire.Limit{{Name: "core"}}
			test.change(&m)
			f, pipes := l.askSpawn(m)
			for _, p := range pipes {
				if got := output(t, p); got != "" {
					t.Errorf("a pipe of it says %q", got)
				}
				p.Close()
			}
			failed, err := wire.ParseFailed(f.Body)
			if f.Kind != wire.KindFailed || err != nil || failed.Errno != int(test.errno) || test.text != "" && failed.Text != test.text {
				t.Errorf("kind %d, errno %d %q, %v; want a refusal with errno %d %q", f.Kind, failed.Errno, failed.Text, err, int(test.errno), test.text)
			}
		})
	}
	if now := l.descriptors(); now != before {
		t.Errorf("%d descriptors are open in the keeper, %d before", now, before)
	}
}
