package supervisor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tend/api"
	"tend/internal/app"
	"tend/internal/command"
	"tend/internal/gitinfo"
	"tend/internal/store"
)

// learned is what was found out about a launch while it was under way.
type learned struct {
	serial, launch uint64
	node           string
	versioning     *api.Versioning
}

func (m learned) handle(s *Supervisor) {
	in := s.serial[m.serial]
	if in == nil || in.rec.KeyLaunch != m.launch || m.node == in.rec.Node && sameRevision(m.versioning, in.rec.Versioning) {
		return
	}
	in.rec.Node, in.rec.Versioning = m.node, m.versioning
	s.changed(in)
}

func sameRevision(a, b *api.Versioning) bool { return a == b || a != nil && b != nil && *a == *b }

// learn finds out what a launch runs in and on, aside and one after the other:
// that is for people to read, and no launch waits for it.
func (s *Supervisor) learn(in *instance) {
	r := in.rec
	s.learning.do(s.aside, func(ctx context.Context) {
		m := learned{serial: r.Serial, launch: r.KeyLaunch, versioning: versioning(r.Spec)}
		if app.IsNode(r.Spec.Interpreter) {
			m.node = s.nodes.version(ctx, &r)
		}
		s.mail.post(m)
	})
}

// versioning is what is checked out where an app is, nil where that is nothing,
// or its vizion is off.
func versioning(spec *api.Spec) *api.Versioning {
	if spec.Extra["vizion"] == false {
		return nil
	}
	dirs := []string{spec.Cwd}
	if filepath.IsAbs(spec.Script) { // no command line of a shell
		dirs = []string{filepath.Dir(spec.Script), spec.Cwd}
	}
	for _, dir := range dirs {
		info, err := gitinfo.Read(dir)
		if err != nil {
			continue
		}
		v := &api.Versioning{
			Type: "git", URL: info.URL, Revision: info.Revision, Comment: info.Comment, Branch: info.Branch,
			Remote: info.Remote, RepoPath: info.Root,
		}
		if !info.Time.IsZero() {
			v.UpdateTime = info.Time.Format("2006-01-02T15:04:05-07:00")
		}
		return v
	}
	return nil
}

// nodes are the versions of the nodes that were asked, by what a new one of them
// would change. It belongs to the line of those who learn.
type nodes map[nodeID]string

type nodeID struct {
	path    string
	changed time.Time
	size    int64
	uid     int
}

// nodeLimit is how long a node may take to say its version.
const nodeLimit = 5 * time.Second

// version is that of the node that runs an app, "" when it does not say. It is
// asked as the app's user: it may be his own program.
func (n nodes) version(ctx context.Context, r *store.Record) string {
	path := r.Spec.Interpreter
	fi, err := os.Stat(path)
	if err != nil {
		return ""
	}
	id := nodeID{path: path, changed: fi.ModTime(), size: fi.Size(), uid: -1}
	user := otherUser(r.Spec)
	if user != nil {
		id.uid = user.UID
	}
	if v, ok := n[id]; ok {
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, nodeLimit)
	defer cancel()
	env := app.Merged(r.Spec, r.Inherited.Vars) // what stands for node may be a script that looks for it
	delete(env, "NODE_OPTIONS")
	out, err := command.Command{
		Argv: []string{path, "--version"}, Env: app.Listed(env), Dir: r.Spec.Cwd, User: user, Most: 1 << 10,
	}.Output(ctx)
	first, _, _ := strings.Cut(string(out), "\n")
	version, ok := strings.CutPrefix(strings.TrimSpace(first), "v")
	if err != nil || !ok {
		return ""
	}
	n[id] = version
	return version
}
