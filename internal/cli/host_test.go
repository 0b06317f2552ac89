package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"tend/api"
)

// theMachine is one with something of everything.
func theMachine() *api.Host {
	cpu := 11.34
	return &api.Host{
		At: 1, CPU: &cpu, Memory: api.HostMemory{Total: 1000 << 20, Available: 250 << 20},
		Nets: []api.HostNet{
			{Name: "eth0", Received: 2097, Sent: 30 << 20, RxErrors: 1.5, TxDropped: 2},
			{Name: "idle0", Received: 3},
		},
		Disk:   &api.HostDisk{Read: 1 << 20, Written: 1723859},
		Mounts: []api.Mount{{Path: "/", Size: 10 << 30, Use: 84.2}, {Path: "/data", Size: 20 << 30, Use: 12}},
	}
}

func TestHostLine(t *testing.T) {
	d := &fakeDaemon{instances: instances(), host: theMachine()}
	const wide = "host metrics | cpu: 11.3% | ram usage: 75% | eth0: ⇓ 0.002mb/s ⇑ 30mb/s err 2/min drop 2/min | disk: ⇓ 1mb/s ⇑ 1.644mb/s | / 85%\n"
	env := world(t)
	if r := try(t, env, d, "ls"); r.code != 0 || !strings.HasSuffix(r.stdout, "\n"+wide) {
		t.Errorf("got %+v", r)
	}
	env.Width = 90
	if r := try(t, env, nil, "ls"); !strings.HasSuffix(r.stdout, "drop 2/min\n") {
		t.Errorf("got %s", r.stdout)
	}
	if r := try(t, env, nil, "ls", "-m"); strings.Contains(r.stdout, "host metrics") {
		t.Errorf("got %s", r.stdout)
	}
	env.Width, env.Color = 0, true
	if r := try(t, env, nil, "ls"); !strings.Contains(r.stdout, "\x1b[32m11.3%\x1b[0m") || !strings.Contains(r.stdout, "\x1b[1;33m75%") || !strings.Contains(r.stdout, "\x1b[1;31m30mb/s") {
		t.Errorf("got %q", r.stdout)
	}
	// Without a look before there are no rates, and without any nothing is said.
	d.host = &api.Host{Memory: d.host.Memory}
	env.Color = false
	if r := try(t, env, nil, "ls"); !strings.HasSuffix(r.stdout, "\nhost metrics | ram usage: 75%\n") {
		t.Errorf("got %s", r.stdout)
	}
	for _, none := range []*api.Host{{Off: true}, {}, nil} {
		d.host = none
		if r := try(t, env, nil, "ls"); r.code != 0 || strings.Contains(r.stdout, "host metrics") {
			t.Errorf("got %+v", r)
		}
	}
}

func TestSlist(t *testing.T) {
	d := &fakeDaemon{host: theMachine()}
	env := world(t)
	r := try(t, env, d, "slist")
	for _, want := range []string{
		"  'CPU Usage': { value: 11.3, type: 'metric', unit: '%', historic: true },\n", "  'RAM Total': { value: 1048576000, type: 'metric', unit: 'b',",
		"  'net:rx_5:eth0': { value: 0.002,", "  'Disk Writes': { value: 1.644,", "  'fs:use:/': { value: 84.2,", "  'fs:size:/data': { value: 20,",
	} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("got %+v, want %s", r, want)
		}
	}
	r = try(t, env, nil, "sysinfos", "-t")
	for _, want := range []string{"├─ CPU Usage\n│  ├─ value: 11.3\n│  ├─ type: metric\n│  ├─ unit: %\n│  └─ historic: true\n├─ ", "├─ RAM Total\n│  ├─ value: 1048576000\n", "└─ fs:size:/data\n   ├─ value: 20\n"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("got %+v, want %s", r, want)
		}
	}
	var got api.Host
	if r = try(t, env, nil, "sysmonit", "--json"); json.Unmarshal([]byte(r.stdout), &got) != nil || got.CPU == nil || *got.CPU != 11.34 {
		t.Errorf("got %+v", r)
	}
	d.host = &api.Host{Off: true}
	if r = try(t, env, nil, "slist"); r.code != 1 || !strings.Contains(r.stderr, "set pm2:sysmonit true") || r.stdout != "" {
		t.Errorf("got %+v", r)
	}
}

func TestFactsAsJSON(t *testing.T) {
	d := &fakeDaemon{instances: instances(), settings: api.Settings{Values: map[string]any{"mod": map[string]any{"k": "v"}}}}
	env := world(t)
	serve(t, env, d)
	d.pong = api.Pong{Version: "v1", PID: 100}
	for args, want := range map[string]string{
		"ls --json --sort id:desc": `[{"id":11,`, "--json list": `[{"id":10,`,
		"id api --json": `[1,2]`, "id nosuch --json": `[]`,
		"pid api --json": `[{"id":1,"name":"api","pid":7420},{"id":2,"name":"api","pid":7421}]`,
		"ping --json":    `{"version":"v1","pid":100,`,
		"get --json":     `{"mod":{"k":"v"}}`, "conf mod --json": `{"k":"v"}`, "get mod:k --json": `"v"`,
		"report --json": `{"date":`,
	} {
		r := try(t, env, nil, strings.Fields(args)...)
		var v any
		if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || r.code != 0 {
			t.Errorf("%s: %v: %+v", args, err, r)
		}
		if flat := strings.Join(strings.Fields(r.stdout), ""); !strings.HasPrefix(flat, want) {
			t.Errorf("%s: got %s, want %s", args, flat, want)
		}
	}
	if r := try(t, env, nil, "get", "nosuch", "--json"); r.code != 1 || r.stdout != "" {
		t.Errorf("got %+v", r)
	}
}
