package app

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
	"tend/internal/errs"
	"tend/internal/rotation"
)

func sound() *api.Spec {
	s := Default()
	s.Name, s.Script, s.Cwd = "api", "/srv/api", "/srv"
	return &s
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*api.Spec)
		want   string // "": it is sound
	}{
		"a sound one":                {func(*api.Spec) {}, ""},
		"no name":                    {func(s *api.Spec) { s.Name = "" }, "name: it is empty"},
		"a reserved name":            {func(s *api.Spec) { s.Name = "all" }, `name: "all" is reserved: commands use it for every app`},
		"a line break in the name":   {func(s *api.Spec) { s.Name = "a\nb" }, `name: "a\nb" holds a control character`},
		"a zero byte in the name":    {func(s *api.Spec) { s.Name = "a\x00" }, `name: "a\x00" holds a control character`},
		"a colour in the name":       {func(s *api.Spec) { s.Name = "\x1b[31ma" }, `name: "\x1b[31ma" holds a control character`},
		"a name of 200 bytes":        {func(s *api.Spec) { s.Name = strings.Repeat("x", 200) }, ""},
		"a name of 201 bytes":        {func(s *api.Spec) { s.Name = strings.Repeat("x", 201) }, "name: it has 201 bytes, and files are named after it: at most 200"},
		"a name of digits":           {func(s *api.Spec) { s.Name = "5" }, ""},
		"a name of many words":       {func(s *api.Spec) { s.Name = "die grüne /app" }, ""},
		"a tab in the namespace":     {func(s *api.Spec) { s.Namespace = "a\tb" }, `namespace: "a\tb" holds a control character`},
		"no namespace":               {func(s *api.Spec) { s.Namespace = "" }, "namespace: it is empty"},
		"no script":                  {func(s *api.Spec) { s.Script = "" }, "script: it is missing"},
		"a relative script":          {func(s *api.Spec) { s.Script = "api" }, `script: "api" is not absolute`},
		"a command line for a shell": {func(s *api.Spec) { s.Script = "echo hi"; s.Interpreter = "/bin/sh" }, ""},
		"no cwd":                     {func(s *api.Spec) { s.Cwd = "" }, `cwd: "" is not absolute`},
		"a relative cwd":             {func(s *api.Spec) { s.Cwd = "srv" }, `cwd: "srv" is not absolute`},
		"a relative interpreter":     {func(s *api.Spec) { s.Interpreter = "node" }, `interpreter: "node" is not absolute`},
		"a zero byte in an argument": {func(s *api.Spec) { s.Args = []string{"a", "b\x00"} }, "args: one holds a zero byte, which no process can be given"},
		"a zero byte in the script":  {func(s *api.Spec) { s.Script = "/a\x00" }, "args: one holds a zero byte, which no process can be given"},
		"a zero byte for node":       {func(s *api.Spec) { s.InterpreterArgs = []string{"\x00"} }, "args: one holds a zero byte, which no process can be given"},
		"a variable without a name":  {func(s *api.Spec) { s.Env = map[string]string{"": "x"} }, `env: "" cannot be the name of a variable, or its value holds a zero byte`},
		"a variable with a sign":     {func(s *api.Spec) { s.Env = map[string]string{"A=B": "x"} }, `env: "A=B" cannot be the name of a variable, or its value holds a zero byte`},
		"a zero byte in a value":     {func(s *api.Spec) { s.Env = map[string]string{"A": "x\x00"} }, `env: "A" cannot be the name of a variable, or its value holds a zero byte`},
		"a value with everything":    {func(s *api.Spec) { s.Env = map[string]string{"A.b-c": "=\n"} }, ""},
		"a template that is none":    {func(s *api.Spec) { s.Args = []string{"{{worker}}"} }, `args: {{worker}} is no template; there are {{instance}}, {{id}}, {{instances}}, {{name}}, {{namespace}}, {{cwd}}, {{here}}, {{hostname}} and {{env.NAME}}, and \{{worker}} is the text itself`},
		"a directory of itself":      {func(s *api.Spec) { s.Cwd = "/a/{{cwd}}" }, "cwd: it cannot stand for itself"},
		"a text as a number":         {func(s *api.Spec) { s.Env = map[string]string{"A": "%(program_name)d"} }, "env: A: %(program_name)d is no number; write it with an s at its end"},
		"a log that is no template":  {func(s *api.Spec) { s.Log.Out = "/a/{{x}}.log" }, `out_file: {{x}} is no template; there are {{instance}}, {{id}}, {{instances}}, {{name}}, {{namespace}}, {{cwd}}, {{here}}, {{hostname}} and {{env.NAME}}, and \{{x}} is the text itself`},
		"a format of Python":         {func(s *api.Spec) { s.Args = []string{"%(asctime)s %(message)s"} }, ""},
		"a mask of too many bits":    {func(s *api.Spec) { s.Umask = new(int); *s.Umask = 0o1000 }, "umask: 01000 is not between 0 and 0777"},
		"an exit code too large":     {func(s *api.Spec) { s.ExpectedCodes = []int{256} }, "exit codes: 256 is not between 0 and 255"},
		"a limit of nothing":         {func(s *api.Spec) { s.Limits = map[string]api.Limit{"beer": {}} }, `limits: "beer" is no resource; there are as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack`},
		"a soft limit too high":      {func(s *api.Spec) { s.Limits = map[string]api.Limit{"nofile": {Soft: -1, Hard: 5}} }, "limits: nofile: the soft limit is above the hard one"},
		"a negative limit":           {func(s *api.Spec) { s.Limits = map[string]api.Limit{"core": {Soft: -2, Hard: -1}} }, "limits: core: a limit is not negative"},
		"no limits":                  {func(s *api.Spec) { s.Limits = map[string]api.Limit{"core": {Soft: -1, Hard: -1}} }, ""},
		"a negative time to start":   {func(s *api.Spec) { s.StartTime = -1 }, "start_secs: -1 is negative"},
		"no instance":                {func(s *api.Spec) { s.Instances = 0 }, "instances: 0 is not between 1 and 10000"},
		"less than no instance":      {func(s *api.Spec) { s.Instances = -1 }, "instances: -1 is not between 1 and 10000"},
		"a slip of the finger":       {func(s *api.Spec) { s.Instances = 10_001 }, "instances: 10001 is not between 1 and 10000"},
		"the most instances":         {func(s *api.Spec) { s.Instances = 10_000 }, ""},
		"a cluster of node":          {func(s *api.Spec) { s.Mode, s.Interpreter = api.Cluster, "/usr/bin/node" }, ""},
		"a cluster of Debian's node": {func(s *api.Spec) { s.Mode, s.Interpreter = api.Cluster, "/usr/bin/nodejs" }, ""},
		"a cluster of bun": {
			func(s *api.Spec) { s.Mode, s.Interpreter = api.Cluster, "/usr/bin/bun" },
			"exec_mode: bun cannot run in cluster mode, which needs Node's own cluster protocol; run it with exec_mode fork",
		},
		"a cluster of a program": {
			func(s *api.Spec) { s.Mode = api.Cluster },
			"exec_mode: api cannot run in cluster mode, which needs Node's own cluster protocol; run it with exec_mode fork",
		},
		"a balance":              {func(s *api.Spec) { s.Balance = api.Reuseport }, ""},
		"an unknown balance":     {func(s *api.Spec) { s.Balance = "rr" }, `balance: "rr" is none of round-robin, shared and reuseport`},
		"drain_timeout below 0":  {func(s *api.Spec) { s.DrainTimeout = -1 }, "drain_timeout: -1 is negative"},
		"another mode":           {func(s *api.Spec) { s.Mode = "fork_mode" }, `exec_mode: "fork_mode" is neither fork nor cluster`},
		"max_restarts below 0":   {func(s *api.Spec) { s.MaxRestarts = -1 }, "max_restarts: -1 is negative"},
		"min_uptime below 0":     {func(s *api.Spec) { s.MinUptime = -1 }, "min_uptime: -1 is negative"},
		"restart_delay below 0":  {func(s *api.Spec) { s.RestartDelay = -1 }, "restart_delay: -1 is negative"},
		"backoff below 0":        {func(s *api.Spec) { s.Backoff = -1 }, "exp_backoff_restart_delay: -1 is negative"},
		"max_memory below 0":     {func(s *api.Spec) { s.MaxMemory = -1 }, "max_memory_restart: -1 is negative"},
		"kill_timeout below 0":   {func(s *api.Spec) { s.KillTimeout = -1 }, "kill_timeout: -1 is negative"},
		"listen_timeout below 0": {func(s *api.Spec) { s.ListenTimeout = -1 }, "listen_timeout: -1 is negative"},
		"zeros": {func(s *api.Spec) {
			s.MaxRestarts, s.MinUptime, s.RestartDelay, s.KillTimeout, s.ListenTimeout, s.DrainTimeout = 0, 0, 0, 0, 0, 0
		}, ""},
		"no signal":           {func(s *api.Spec) { s.StopSignal = "" }, `stop_signal: "" is not the name or number of a signal`},
		"an unknown signal":   {func(s *api.Spec) { s.StopSignal = "SIGLUNCH" }, `stop_signal: "SIGLUNCH" is not the name or number of a signal`},
		"a signal by number":  {func(s *api.Spec) { s.StopSignal = "15" }, ""},
		"a relative out_file": {func(s *api.Spec) { s.Log.Out = "o.log" }, `log: "o.log" is not absolute`},
		"a relative err_file": {func(s *api.Spec) { s.Log.Err = "e.log" }, `log: "e.log" is not absolute`},
		"a relative pid_file": {func(s *api.Spec) { s.Log.Pid = "p" }, `log: "p" is not absolute`},
		"a relative log_file": {func(s *api.Spec) { s.Log.Combined = "l.log" }, `log: "l.log" is not absolute`},
		"the default log":     {func(s *api.Spec) { s.Log.Combined = "true" }, ""},
		"logs of json":        {func(s *api.Spec) { s.Log.Type = "json" }, ""},
		"logs of xml":         {func(s *api.Spec) { s.Log.Type = "xml" }, `log_type: "xml" is neither raw nor json`},
		"a date of two lines": {func(s *api.Spec) { s.Log.Date = "HH\nmm" }, `log_date_format: "HH\nmm" holds a line break, and would break every line`},
		"a rate below 0":      {func(s *api.Spec) { s.Log.RateLimit = -1 }, "log_rate_limit: -1 is negative"},
		"a rotation":          {func(s *api.Spec) { r := rotation.Default(); s.Log.Rotation = &r }, ""},
		"a rotation with a fault": {
			func(s *api.Spec) { s.Log.Rotation = &api.Rotation{Compress: "bzip2"} },
			`log_rotate: compress: "bzip2" is neither gzip nor zstd`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound()
			test.change(s)
			err := Validate(s)
			if test.want == "" {
				if err != nil {
					t.Errorf("it is sound, and refused: %v", err)
				}
				return
			}
			var e *errs.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *errs.Error that says %q", err, test.want)
			}
			got := []string{e.Op, e.On, string(e.Kind), e.Err.Error()}
			if diff := cmp.Diff([]string{"check app", s.Name, "invalid", test.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	err := Validate(&api.Spec{StopSignal: "SIGINT"})
	for _, field := range []string{"name:", "namespace:", "script:", "cwd:", "instances:", "exec_mode:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v\ndoes not tell of %s", err, field)
		}
	}
}

func TestDefaultsAreThoseOfPM2(t *testing.T) {
	want := api.Spec{
		Namespace: "default", Instances: 1, Mode: "fork", InstanceVar: "NODE_APP_INSTANCE", Autostart: true, Autorestart: true,
		MaxRestarts: 16, MinUptime: 1000, StopSignal: "SIGINT", KillTimeout: 1600, ListenTimeout: 3000, DrainTimeout: 5000, TreeKill: true,
	}
	if diff := cmp.Diff(want, Default()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSignal(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"SIGINT": 2, "INT": 2, "sigusr2": 12, "Usr2": 12, "SIGKILL": 9, "hup": 1, "SIGTERM": 15, "12": 12, "1": 1, "64": 64, "34": 34,
	} {
		if got, err := Signal(text); got != want || err != nil {
			t.Errorf("%q is %d, %v; want %d", text, int(got), err, int(want))
		}
	}
	for _, text := range []string{"", "SIG", "0", "-9", "65", "SIGSIGINT", "SIGNOPE", " 9", "9.0"} {
		if got, err := Signal(text); err == nil {
			t.Errorf("%q is taken for signal %d", text, int(got))
		}
	}
}

func TestSignalNameIsReadBySignal(t *testing.T) {
	for sig := syscall.Signal(1); sig <= 31; sig++ {
		name := SignalName(sig)
		if got, err := Signal(name); err == nil && got != sig {
			t.Errorf("%d is called %s, which is %d", int(sig), name, int(got))
		}
	}
	for sig, want := range map[syscall.Signal]string{2: "SIGINT", 9: "SIGKILL", 15: "SIGTERM", 12: "SIGUSR2", 11: "SIGSEGV", 34: "SIG34"} {
		if got := SignalName(sig); got != want {
			t.Errorf("%d is called %s, want %s", int(sig), got, want)
		}
	}
}
