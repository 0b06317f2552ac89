package app

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/testkit"
)

func TestEachInstanceHasItsInspectorPort(t *testing.T) {
	first := Launch{Index: 0, Instances: 4}
	third := Launch{Index: 2, Instances: 4}
	other := Launch{Index: 2, Instances: 4, Alt: true}
	for name, test := range map[string]struct {
		args   string
		launch Launch
		want   string
	}{
		"the first keeps what was written":     {"--inspect --inspect-brk=9300", first, "--inspect --inspect-brk=9300"},
		"nothing is inspected":                 {"--max-old-space-size=9229 --inspector=9300", third, "--max-old-space-size=9229 --inspector=9300"},
		"node's own port":                      {"--inspect", third, "--inspect --inspect-port=9231"},
		"the port of the other place":          {"--inspect", other, "--inspect --inspect-port=9235"},
		"the other place of the first":         {"--inspect", Launch{Instances: 1, Alt: true}, "--inspect --inspect-port=9230"},
		"a port":                               {"--inspect=9300", third, "--inspect=9302"},
		"a host and a port":                    {"--inspect-brk=0.0.0.0:9300", third, "--inspect-brk=0.0.0.0:9302"},
		"a name and a port":                    {"--inspect-wait=localhost:9300", other, "--inspect-wait=localhost:9306"},
		"an IPv6 host and a port":              {"--inspect=[::1]:9300", third, "--inspect=[::1]:9302"},
		"a host alone":                         {"--inspect=0.0.0.0", third, "--inspect=0.0.0.0 --inspect-port=9231"},
		"an IPv6 host alone":                   {"--inspect-brk=[::1]", third, "--inspect-brk=[::1] --inspect-port=9231"},
		"a port the kernel chooses":            {"--inspect=0", third, "--inspect=0"},
		"and on a host":                        {"--inspect=127.0.0.1:0", third, "--inspect=127.0.0.1:0"},
		"a port for later":                     {"--inspect-port=9300", third, "--inspect-port=9302"},
		"by its old name":                      {"--debug-port=localhost:9300", third, "--debug-port=localhost:9302"},
		"a port in an argument of its own":     {"--inspect-port 9300 --inspect", third, "--inspect-port 9302 --inspect"},
		"a port that is not there":             {"--inspect-port", third, "--inspect-port --inspect-port=9231"},
		"what stands behind --inspect is none": {"--inspect 9300", third, "--inspect 9300 --inspect-port=9231"},
		"a port of another option":             {"--inspect --inspect-port=9300", third, "--inspect --inspect-port=9302"},
		"underscores, which node takes too":    {"--inspect_brk=9300", third, "--inspect_brk=9302"},
		"others stay where they are":           {"-r ./a --inspect=9300 --enable-source-maps", third, "-r ./a --inspect=9302 --enable-source-maps"},
		"above the highest":                    {"--inspect=65534", third, "--inspect=1024"},
		"what node will refuse":                {"--inspect=80", third, "--inspect=80"},
		"how the inspector is told of":         {"--inspect-publish-uid=http", third, "--inspect-publish-uid=http"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &api.Spec{Script: "/a.js", Interpreter: "/bin/node", InterpreterArgs: strings.Fields(test.args), Args: []string{"--inspect"}}
			s.Extra = map[string]any{"source_map_support": false}
			_, argv := Argv(s, test.launch)
			want := append(append([]string{"/bin/node"}, strings.Fields(test.want)...), "/a.js", "--inspect")
			if diff := cmp.Diff(want, argv); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := strings.Join(s.InterpreterArgs, " "); got != test.args {
				t.Errorf("the Spec was changed: %s", got)
			}
		})
	}
}

func TestOnlyNodeHasInspectorPorts(t *testing.T) {
	s := &api.Spec{Script: "/a.ts", Interpreter: "/bin/deno", InterpreterArgs: []string{"run", "--inspect=9300"}}
	_, argv := Argv(s, Launch{Index: 1, Instances: 2})
	if want := []string{"/bin/deno", "run", "--inspect=9300", "/a.ts"}; !cmp.Equal(argv, want) {
		t.Errorf("got %q, want %q", argv, want)
	}
}

// TestNodeTakesItsInspectorPort starts real instances side by side: each says
// where its inspector listens.
func TestNodeTakesItsInspectorPort(t *testing.T) {
	node := testkit.NeedNode(t)
	script := filepath.Join(t.TempDir(), "app.js")
	if err := os.WriteFile(script, []byte("setInterval(() => {}, 1000)"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &api.Spec{Script: script, Interpreter: node, InterpreterArgs: []string{"--inspect=127.0.0.1:21901"}}
	for _, test := range []struct {
		launch Launch
		port   string
	}{
		{Launch{Index: 0, Instances: 2}, "21901"},
		{Launch{Index: 1, Instances: 2}, "21902"},
		{Launch{Index: 0, Instances: 2, Alt: true}, "21903"},
		{Launch{Index: 1, Instances: 2, Alt: true}, "21904"},
	} {
		path, argv := Argv(s, test.launch)
		cmd := exec.CommandContext(t.Context(), path, argv[1:]...)
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = io.Copy(io.Discard, said)
			_ = cmd.Wait()
		})
		line, err := bufio.NewReader(said).ReadString('\n')
		if want := "Debugger listening on ws://127.0.0.1:" + test.port + "/"; err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("node says %q, %v; want %s", line, err, want)
		}
	}
}
