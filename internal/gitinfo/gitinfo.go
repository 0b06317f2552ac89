// Package gitinfo tells what revision a directory is checked out at. It reads the
// few files of git that say so and runs nothing: git itself may not be there, and
// takes longer than a start may. What it does not understand it leaves out.
package gitinfo

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxFile bounds what is read of one of git's small files.
	maxFile = 1 << 20
	// maxPacked bounds packed-refs, which has a line for each tag.
	maxPacked = 16 << 20
	// maxHops is how many names a symbolic reference may lead through.
	maxHops = 5
	// maxComment bounds a commit's message.
	maxComment = 512
)

// Info is what is checked out.
type Info struct {
	Root     string // the directory with .git in it
	Revision string // hexadecimal
	Branch   string // "": none is checked out
	Remote   string // "origin"
	URL      string // of Remote, without a password
	Comment  string
	Time     time.Time // of the commit; zero: not known
}

// ErrNone tells that a directory is in no repository, or in one without a commit.
var ErrNone = errors.New("no revision is checked out")

// Read is what the directory, or the nearest above it, is checked out at.
func Read(dir string) (Info, error) {
	for root := filepath.Clean(dir); ; root = filepath.Dir(root) {
		if r, ok := open(root); ok {
			return r.info()
		}
		if root == filepath.Dir(root) {
			return Info{}, ErrNone
		}
	}
}

// A repository is where git keeps what belongs to one checkout.
type repository struct {
	root   string
	dir    string // of this checkout: HEAD, logs
	common string // of all worktrees: objects, refs, config
}

// open is the repository of root. In a worktree and in a submodule .git is a file
// that names the directory (gitrepository-layout(5)).
func open(root string) (repository, bool) {
	dir := filepath.Join(root, ".git")
	fi, err := os.Stat(dir)
	if err != nil {
		return repository{}, false
	}
	if !fi.IsDir() {
		text, _ := line(dir)
		target, ok := strings.CutPrefix(text, "gitdir: ")
		if !ok {
			return repository{}, false
		}
		dir = from(root, target)
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return repository{}, false
	}
	common := dir
	if text, err := line(filepath.Join(dir, "commondir")); err == nil {
		common = from(dir, text)
	}
	return repository{root: root, dir: dir, common: common}, true
}

// from is path seen from dir.
func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

func (r repository) info() (Info, error) {
	i := Info{Root: r.root}
	head, _ := line(filepath.Join(r.dir, "HEAD"))
	if name, ok := strings.CutPrefix(head, "ref: "); ok {
		i.Branch, _ = strings.CutPrefix(name, "refs/heads/")
		head = r.resolve(name)
	}
	if !isHash(head) {
		return Info{}, ErrNone
	}
	i.Revision = head
	i.Remote, i.URL = r.remote(i.Branch)
	if text, err := r.commit(head); err == nil {
		i.Comment, i.Time = parseCommit(text)
	} else {
		i.Comment, i.Time = r.logged(head)
	}
	return i, nil
}

// resolve is the hash that a reference stands for, "" where there is none.
func (r repository) resolve(name string) string {
	for range maxHops {
		if !filepath.IsLocal(name) {
			return ""
		}
		text, err := line(filepath.Join(r.dir, name))
		if err != nil {
			text, err = line(filepath.Join(r.common, name))
		}
		if err != nil {
			return r.packed(name)
		}
		next, symbolic := strings.CutPrefix(text, "ref: ")
		if !symbolic {
			return text
		}
		name = next
	}
	return ""
}

// packed is the hash of a reference that has no file of its own.
func (r repository) packed(name string) string {
	f, err := os.Open(filepath.Join(r.common, "packed-refs"))
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, maxPacked)); s.Scan(); {
		if hash, is, ok := strings.Cut(s.Text(), " "); ok && is == name {
			return hash
		}
	}
	return ""
}

// remote is the remote of a branch, else origin, else the first.
func (r repository) remote(branch string) (name, address string) {
	text, _ := small(filepath.Join(r.common, "config"))
	c := parseConfig(text)
	name = c.values[`branch "`+branch+`"`]["remote"]
	urlOf := func(name string) string { return c.values[`remote "`+name+`"`]["url"] }
	for _, other := range append([]string{"origin"}, c.remotes...) {
		if urlOf(name) == "" {
			name = other
		}
	}
	if urlOf(name) == "" {
		return "", ""
	}
	return name, withoutPassword(urlOf(name))
}

// withoutPassword takes away what lets somebody in. Over HTTP that may be a
// user's name alone, which then is a token.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address // user@host:path holds none
	}
	if strings.HasPrefix(u.Scheme, "http") {
		u.User = nil
	} else {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}

// logged is what the log of HEAD tells of the commit that made a revision, for
// one that could not be read.
func (r repository) logged(revision string) (comment string, at time.Time) {
	const tail = 8 << 10
	f, err := os.Open(filepath.Join(r.dir, "logs", "HEAD"))
	if err != nil {
		return "", time.Time{}
	}
	defer f.Close()
	_, _ = f.Seek(-tail, io.SeekEnd) // a shorter file is read from its beginning
	text, _ := io.ReadAll(io.LimitReader(f, tail))
	for entry := range bytes.Lines(text) {
		who, message, _ := strings.Cut(strings.TrimSpace(string(entry)), "\t")
		said, isCommit := strings.CutPrefix(message, "commit")
		_, said, _ = strings.Cut(said, ": ") // behind "commit", or "commit (amend)"
		if fields := strings.Fields(who); isCommit && len(fields) > 1 && fields[1] == revision {
			comment, at = said, signed(who)
		}
	}
	return comment, at
}

// isHash tells whether text is a hash, of SHA-1 or SHA-256.
func isHash(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

// line is the first line of a small file.
func line(path string) (string, error) {
	text, err := small(path)
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first), err
}

func small(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}
