package gitinfo

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world is a repository that git itself made, with two commits.
func world(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no git")
		}
		t.Skip("there is no git")
	}
	dir := filepath.Join(t.TempDir(), "repo")
	if err := os.MkdirAll(filepath.Join(dir, "src", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	git(t, dir, "commit", "--quiet", "--allow-empty", "--message=The first")
	git(t, dir, "commit", "--quiet", "--allow-empty", "--message=The second\n\nWith a body, über alles.")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.org",
		"GIT_AUTHOR_DATE=1600000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0530")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestRead holds what we read to what git says of the same repository.
func TestRead(t *testing.T) {
	const second = "The second\n\nWith a body, über alles."
	for name, test := range map[string]struct {
		change  func(t *testing.T, dir string) string // and where to look; "" for dir
		branch  string
		comment string
	}{
		"fresh commits":         {func(*testing.T, string) string { return "" }, "main", second},
		"from far below":        {func(_ *testing.T, dir string) string { return filepath.Join(dir, "src", "deep") }, "main", second},
		"what is not there yet": {func(_ *testing.T, dir string) string { return filepath.Join(dir, "none", "none") }, "main", second},
		"a branch with a slash": {func(t *testing.T, dir string) string { git(t, dir, "switch", "-qc", "feature/x"); return "" }, "feature/x", second},
		"no branch":             {func(t *testing.T, dir string) string { git(t, dir, "checkout", "-q", "HEAD~1"); return "" }, "", "The first"},
		"packed":                {func(t *testing.T, dir string) string { git(t, dir, "gc", "-q"); return "" }, "main", second},
		"packed among many": {
			func(t *testing.T, dir string) string {
				for range 40 {
					git(t, dir, "commit", "-q", "--allow-empty", "-m", "another "+dir)
					git(t, dir, "commit", "-q", "--amend", "--allow-empty", "-m", "The last of many")
				}
				git(t, dir, "gc", "-q", "--prune=now")
				return ""
			}, "main", "The last of many",
		},
		"a worktree": {
			func(t *testing.T, dir string) string {
				tree := filepath.Join(filepath.Dir(dir), "tree")
				git(t, dir, "worktree", "add", "-q", "-b", "beside", tree, "HEAD~1")
				return tree
			}, "beside", "The first",
		},
		"a worktree of a packed one": {
			func(t *testing.T, dir string) string {
				tree := filepath.Join(filepath.Dir(dir), "tree")
				git(t, dir, "worktree", "add", "-q", "-b", "beside", tree)
				git(t, dir, "gc", "-q")
				return tree
			}, "beside", second,
		},
		"a submodule": {
			func(t *testing.T, dir string) string {
				outer := filepath.Join(filepath.Dir(dir), "outer")
				git(t, filepath.Dir(dir), "init", "-q", outer)
				git(t, outer, "submodule", "--quiet", "add", "-b", "main", dir, "inner")
				return filepath.Join(outer, "inner")
			}, "main", second,
		},
		"a clone without a history": {
			func(t *testing.T, dir string) string {
				git(t, filepath.Dir(dir), "clone", "-q", "--depth=1", "file://"+dir, "shallow")
				return filepath.Join(filepath.Dir(dir), "shallow")
			}, "main", second,
		},
		"a commit that is lost": {
			func(t *testing.T, dir string) string {
				if err := os.RemoveAll(filepath.Join(dir, ".git", "objects")); err != nil {
					t.Fatal(err)
				}
				return ""
			}, "main", "The second",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := world(t)
			look := test.change(t, dir)
			if look == "" {
				look = dir
			}
			got, err := Read(look)
			if err != nil {
				t.Fatal(err)
			}
			want := Info{Branch: test.branch, Comment: test.comment, Time: time.Unix(1_700_000_000, 0), Root: got.Root, Revision: got.Revision}
			if fi, err := os.Stat(filepath.Join(look, ".git")); err == nil && fi != nil {
				want.Root = look
			}
			if name != "a commit that is lost" && name != "what is not there yet" {
				want.Revision = git(t, look, "rev-parse", "HEAD")
			}
			want.Remote, want.URL = got.Remote, got.URL // see TestRemote
			if diff := cmp.Diff(got, want, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Errorf("-got +want\n%s", diff)
			}
			if zone := got.Time.Format("-0700"); zone != "+0530" {
				t.Errorf("got the time zone %s, want the committer's", zone)
			}
		})
	}
}

func TestRemote(t *testing.T) {
	for name, test := range map[string]struct {
		config    string
		name, url string
	}{
		"none":                         {"[core]\n\tbare = false\n", "", ""},
		"origin":                       {"[remote \"other\"]\nurl = https://x/o\n[remote \"origin\"]\n\turl = https://x/y.git\n", "origin", "https://x/y.git"},
		"that of the branch":           {"[remote \"origin\"]\nurl = a\n[remote \"fork\"]\nurl=b\n[branch \"main\"]\n\tremote = fork\n\tmerge = refs/heads/main\n", "fork", "b"},
		"that of another branch":       {"[remote \"origin\"]\nurl = a\n[remote \"fork\"]\nurl=b\n[branch \"next\"]\nremote = fork\n", "origin", "a"},
		"the only one":                 {"[remote \"up\"]\n\tURL = \"git@example.org:x/y.git\"\n", "up", "git@example.org:x/y.git"},
		"one in a comment":             {"# [remote \"no\"]\n;url = x\n", "", ""},
		"a password":                   {"[remote \"origin\"]\nurl = https://ann:s3cret@example.org/x.git\n", "origin", "https://example.org/x.git"},
		"a token":                      {"[remote \"origin\"]\nurl = https://ghp_s3cret@example.org/x.git\n", "origin", "https://example.org/x.git"},
		"a password, but not for HTTP": {"[remote \"origin\"]\nurl = ssh://git:s3cret@example.org/x.git\n", "origin", "ssh://git@example.org/x.git"},
		"nonsense":                     {"[\n]\n=\n[remote \"\nurl\n\x00", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := world(t)
			if err := os.WriteFile(filepath.Join(dir, ".git", "config"), []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Read(dir)
			if err != nil || got.Remote != test.name || got.URL != test.url {
				t.Errorf("got %q, %q, %v; want %q, %q", got.Remote, got.URL, err, test.name, test.url)
			}
		})
	}
}

func TestWhatIsNoRepository(t *testing.T) {
	git(t, filepath.Dir(world(t)), "init", "-q", "bare-of-commits")
	files := func(files map[string]string) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := t.TempDir()
			for path, text := range files {
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return dir
		}
	}
	for name, dir := range map[string]func(t *testing.T) string{
		"nothing":            files(nil),
		"no commit yet":      func(t *testing.T) string { d := t.TempDir(); git(t, d, "init", "-q"); return d },
		"a .git of words":    files(map[string]string{".git": "hello"}),
		"a .git to nowhere":  files(map[string]string{".git": "gitdir: /nowhere/at/all"}),
		"a HEAD of words":    files(map[string]string{".git/HEAD": "hello"}),
		"a circle":           files(map[string]string{".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": "ref: refs/heads/b", ".git/refs/heads/b": "ref: refs/heads/a"}),
		"a way out":          files(map[string]string{".git/HEAD": "ref: ../../../../../../etc/hostname"}),
		"a reference to one": files(map[string]string{".git/HEAD": "ref: refs/heads/a", ".git/refs/heads/a": "0123"}),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Read(dir(t)); !errors.Is(err, ErrNone) {
				t.Errorf("got %+v, %v; want none", got, err)
			}
		})
	}
}

// FuzzRead gives every file that is taken apart to chance.
func FuzzRead(f *testing.F) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	f.Add("ref: refs/heads/main\n", hash+" refs/heads/main\n", "[remote \"o\"]\nurl=x\n", []byte("\xfftOc\x00\x00\x00\x02"), []byte{0x90, 0x78, 0x9c}, "x "+hash+" A <a> 1 +0000\tcommit: x")
	f.Fuzz(func(t *testing.T, head, packed, config string, idx, pack []byte, log string) {
		dir := t.TempDir()
		for path, text := range map[string]string{
			"HEAD": head, "packed-refs": packed, "config": config, "logs/HEAD": log,
			"objects/pack/a.idx": string(idx), "objects/pack/a.pack": string(pack),
		} {
			path = filepath.Join(dir, ".git", path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := Read(dir); err == nil && (!isHash(got.Revision) || got.Root != dir) {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	f.Add([]byte("tree x\ncommitter C <c@d> 1700000000 +0530\ngpgsig a\n b\n\nmessage\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if comment, _ := parseCommit(text); len(comment) > maxComment {
			t.Errorf("a comment of %d bytes", len(comment))
		}
	})
}

func FuzzApply(f *testing.F) {
	f.Add([]byte{4, 4, 0x90, 2, 2, 'x', 'y'}, []byte("abcd"))
	f.Fuzz(func(t *testing.T, delta, base []byte) {
		if out, err := apply(delta, base); err == nil && len(out) > maxCommit {
			t.Errorf("%d bytes", len(out))
		}
	})
}
