package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tend/api"
	"tend/internal/command"
)

// someUser is nobody in particular.
const someUser = 61234

// TestAnAppsUserReadsItsSecrets needs root, as apps with a uid do.
func TestAnAppsUserReadsItsSecrets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	dir, err := os.MkdirTemp("/tmp", "secret") //nolint:usetesting // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user is to get in
		t.Fatal(err)
	}
	file := func(name string, uid, gid int, mode os.FileMode) string {
		path := write(t, dir, name, []byte(name))
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := file("roots", 0, 0, 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(roots, link); err != nil {
		t.Fatal(err)
	}
	r := Reader{Env: []string{"PATH=/bin:/usr/bin"}, Dir: dir, User: &command.User{UID: someUser, GID: someUser, Groups: []int{someUser + 1}}}
	for name, test := range map[string]struct {
		from api.Secret
		want string // "": it may not
	}{
		"its own file":                    {api.Secret{File: file("own", someUser, 0, 0o400)}, "own"},
		"a file of its group":             {api.Secret{File: file("group", 0, someUser, 0o440)}, "group"},
		"a file of another of its groups": {api.Secret{File: file("extra", 0, someUser+1, 0o440)}, "extra"},
		"a file of root":                  {api.Secret{File: roots}, ""},
		"a file of root's group":          {api.Secret{File: file("rootgroup", 0, 0, 0o440)}, ""},
		"a link to a file of root":        {api.Secret{File: link}, ""},
		"who a command is":                {shell("echo $(id -u) $(id -g) $(id -G)"), "61234 61234 61234 61235"},
		"what a command may not read":     {api.Secret{Cmd: []string{"/bin/cat", roots}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Values(t.Context(), map[string]api.Secret{"S": test.from})
			if test.want == "" {
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), "permission denied") {
					t.Errorf("got %v, %v; want a refusal", got, err)
				}
				return
			}
			if err != nil || got["S"] != test.want {
				t.Errorf("got %v, %v; want %s", got, err, test.want)
			}
		})
	}
	// Nobody else has the rights of that user now.
	if uid, _ := unix.SetfsuidRetUid(-1); uid != 0 {
		t.Errorf("this thread has the rights of uid %d", uid)
	}
	if _, err := os.ReadFile(roots); err != nil {
		t.Error(err)
	}
}
