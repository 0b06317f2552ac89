package config

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
	"tend/internal/app"
	"tend/internal/errs"
	"tend/internal/rotation"
)

// resolved is f, with a script, as a Spec.
func resolved(t *testing.T, c Context, f Fields, o Options) (api.Spec, []string) {
	t.Helper()
	f = maps.Clone(f)
	if look(f, "script") == nil {
		f["script"] = "app.js"
	}
	s, warnings, err := Resolve(c, "test", f, o)
	if err != nil {
		t.Fatalf("%v: %v", f, err)
	}
	return s, warnings
}

// rotated is a rotation of the app's own, over that of the home.
func rotated(change func(r *api.Rotation)) func(s *api.Spec) {
	return func(s *api.Spec) {
		r := rotation.Default()
		r.Off = false
		change(&r)
		s.Log.Rotation = &r
	}
}

// Each case says what differs from an app that has a script only.
func TestFields(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		change func(s *api.Spec)
	}{
		"the name":                    {Fields{"name": "api"}, func(s *api.Spec) { s.Name = "api" }},
		"a number as the name":        {Fields{"name": 5}, func(s *api.Spec) { s.Name = "5" }},
		"an empty name is none":       {Fields{"name": ""}, func(*api.Spec) {}},
		"a prefix":                    {Fields{"name_prefix": "mod"}, func(s *api.Spec) { s.Name = "mod:app" }},
		"the namespace":               {Fields{"namespace": "web"}, func(s *api.Spec) { s.Namespace = "web" }},
		"null is absence":             {Fields{"namespace": nil, "max_restarts": nil}, func(*api.Spec) {}},
		"args as one text":            {Fields{"args": `--x "a b" c='d e'`}, func(s *api.Spec) { s.Args = []string{"--x", "a b", "c='d e'"} }},
		"args as a list":              {Fields{"args": []any{"--x", "a b", 5, true}}, func(s *api.Spec) { s.Args = []string{"--x", "a b", "5", "true"} }},
		"node_args":                   {Fields{"node_args": "--inspect --no-warnings"}, func(s *api.Spec) { s.InterpreterArgs = []string{"--inspect", "--no-warnings"} }},
		"node_args by another name":   {Fields{"interpreterArgs": []string{"-r", "x"}}, func(s *api.Spec) { s.InterpreterArgs = []string{"-r", "x"} }},
		"variables for instances":     {Fields{"instance_var": "N", "increment_var": "PORT"}, func(s *api.Spec) { s.InstanceVar, s.IncrementVar = "N", "PORT" }},
		"the user's name for display": {Fields{"username": "bob"}, func(s *api.Spec) { s.Username = "bob" }},
		"not started":                 {Fields{"autostart": false}, func(s *api.Spec) { s.Autostart = false }},
		"not restarted":               {Fields{"autorestart": "false"}, func(s *api.Spec) { s.Autorestart = false }},

		"exit codes that stop":          {Fields{"stop_exit_codes": []any{0, "3"}}, func(s *api.Spec) { s.StopCodes = []int{0, 3} }},
		"one exit code":                 {Fields{"stop_exit_codes": 0}, func(s *api.Spec) { s.StopCodes = []int{0} }},
		"exit codes as one text":        {Fields{"stop_exit_codes": "1 2"}, func(s *api.Spec) { s.StopCodes = []int{1, 2} }},
		"no restarts at all":            {Fields{"max_restarts": 0}, func(s *api.Spec) { s.MaxRestarts = 0 }},
		"a number as a text":            {Fields{"max_restarts": "5"}, func(s *api.Spec) { s.MaxRestarts = 5 }},
		"a number that was computed":    {Fields{"max_restarts": 2.9}, func(s *api.Spec) { s.MaxRestarts = 2 }},
		"milliseconds":                  {Fields{"min_uptime": 5000}, func(s *api.Spec) { s.MinUptime = 5000 }},
		"a duration with a unit":        {Fields{"min_uptime": "1h"}, func(s *api.Spec) { s.MinUptime = 3_600_000 }},
		"the balance":                   {Fields{"balance": "reuseport"}, func(s *api.Spec) { s.Balance = api.Reuseport }},
		"the balance in short":          {Fields{"balance": "rr"}, func(s *api.Spec) { s.Balance = api.RoundRobin }},
		"the balance like a field":      {Fields{"balance": "round_robin"}, func(s *api.Spec) { s.Balance = api.RoundRobin }},
		"the balance in Node's word":    {Fields{"balance": "none"}, func(s *api.Spec) { s.Balance = api.Shared }},
		"a time to drain":               {Fields{"drain_timeout": "10s"}, func(s *api.Spec) { s.DrainTimeout = 10_000 }},
		"no draining":                   {Fields{"drainTimeout": 0}, func(s *api.Spec) { s.DrainTimeout = 0 }},
		"zero durations are honoured":   {Fields{"kill_timeout": 0, "listen_timeout": 0, "restart_delay": 0}, func(s *api.Spec) { s.KillTimeout, s.ListenTimeout = 0, 0 }},
		"units in every duration":       {Fields{"kill_timeout": "3s", "listen_timeout": "1m", "restart_delay": "100ms"}, func(s *api.Spec) { s.KillTimeout, s.ListenTimeout, s.RestartDelay = 3000, 60000, 100 }},
		"a duration that was computed":  {Fields{"kill_timeout": 300.00000000000006}, func(s *api.Spec) { s.KillTimeout = 300 }},
		"a duration as JavaScript does": {Fields{"kill_timeout": "1e3"}, func(s *api.Spec) { s.KillTimeout = 1000 }},
		"back-off":                      {Fields{"exp_backoff_restart_delay": 100}, func(s *api.Spec) { s.Backoff = 100 }},
		"a size with a unit":            {Fields{"max_memory_restart": "200M"}, func(s *api.Spec) { s.MaxMemory = 209715200 }},
		"a size in bytes":               {Fields{"max_memory_restart": 5e8}, func(s *api.Spec) { s.MaxMemory = 500_000_000 }},
		"a pattern for cron":            {Fields{"cron_restart": "0 0 * * *"}, func(s *api.Spec) { s.Cron = "0 0 * * *" }},
		"cron by its alias":             {Fields{"cron": "*/5 0 0 * * *"}, func(s *api.Spec) { s.Cron = "*/5 0 0 * * *" }},
		"zero disables cron":            {Fields{"cron_restart": 0}, func(*api.Spec) {}},
		"zero in a text disables cron":  {Fields{"cron_restart": "0"}, func(*api.Spec) {}},
		"restarts after a crash":        {Fields{"autorestart": "unexpected"}, func(s *api.Spec) { s.Unexpected, s.ExpectedCodes = true, []int{0} }},
		"expected codes":                {Fields{"exitcodes": "0,2"}, func(s *api.Spec) { s.Unexpected, s.ExpectedCodes = true, []int{0, 2} }},
		"expected codes, said twice":    {Fields{"autorestart": "unexpected", "expectedExitCodes": []any{3}}, func(s *api.Spec) { s.Unexpected, s.ExpectedCodes = true, []int{3} }},
		"seconds to start":              {Fields{"startsecs": 10}, func(s *api.Spec) { s.StartTime = 10_000 }},
		"half a second to start":        {Fields{"start_secs": "0.5"}, func(s *api.Spec) { s.StartTime = 500 }},
		"milliseconds to start":         {Fields{"start_secs": "250ms"}, func(s *api.Spec) { s.StartTime = 250 }},
		"no time to start":              {Fields{"start_secs": 0}, func(*api.Spec) {}},
		"no second try":                 {Fields{"startretries": 0}, func(s *api.Spec) { s.StartRetries = new(int) }},
		"a place in the order":          {Fields{"priority": 0}, func(s *api.Spec) { s.Priority = new(int) }},
		"the first in the order":        {Fields{"priority": "-5"}, func(s *api.Spec) { p := -5; s.Priority = &p }},
		"a mask":                        {Fields{"umask": "027"}, func(s *api.Spec) { m := 0o27; s.Umask = &m }},
		"a mask as JavaScript has it":   {Fields{"umask": 0o22}, func(s *api.Spec) { m := 0o22; s.Umask = &m }},
		"no mask at all":                {Fields{"umask": 0}, func(s *api.Spec) { s.Umask = new(int) }},
		"limits": {Fields{"nofile": 65536, "core": "unlimited", "limits": Fields{"nproc": "10:20", "as": "1G", "stack": Fields{"soft": 1, "hard": "infinity"}, "data": nil}}, func(s *api.Spec) {
			s.Limits = map[string]api.Limit{
				"nofile": {Soft: 65536, Hard: 65536}, "core": {Soft: -1, Hard: -1}, "nproc": {Soft: 10, Hard: 20}, "as": {Soft: 1 << 30, Hard: 1 << 30}, "stack": {Soft: 1, Hard: -1},
			}
		}},
		"a limit of 0":                  {Fields{"core": 0}, func(s *api.Spec) { s.Limits = map[string]api.Limit{"core": {}} }},
		"processes, as Supervisor says": {Fields{"numprocs": 2, "numprocs_start": 5, "exec_mode": "fork"}, func(s *api.Spec) { s.Instances, s.InstanceStart, s.Log.Merge = 2, 5, false }},
		"what is in the group":          {Fields{"treekill": "group"}, func(s *api.Spec) { s.GroupKill = true }},
		"all that it started":           {Fields{"treekill": "tree"}, func(*api.Spec) {}},
		"the signal that stops":         {Fields{"stop_signal": "SIGTERM"}, func(s *api.Spec) { s.StopSignal = "SIGTERM" }},
		"a short name of a signal":      {Fields{"kill_signal": "usr2"}, func(s *api.Spec) { s.StopSignal = "SIGUSR2" }},
		"the number of a signal":        {Fields{"stop_signal": 15}, func(s *api.Spec) { s.StopSignal = "SIGTERM" }},
		"a real-time signal":            {Fields{"stop_signal": 40}, func(s *api.Spec) { s.StopSignal = "SIG40" }},
		"only the main process":         {Fields{"treekill": false}, func(s *api.Spec) { s.TreeKill = false }},
		"the message that stops":        {Fields{"shutdown_with_message": true}, func(s *api.Spec) { s.ShutdownMessage = true }},
		"readiness":                     {Fields{"waitReady": true}, func(s *api.Spec) { s.WaitReady = true }},

		"filter_env all":               {Fields{"filter_env": true}, func(s *api.Spec) { s.FilterEnv = &api.EnvFilter{All: true} }},
		"filter_env none":              {Fields{"filter_env": false}, func(*api.Spec) {}},
		"filter_env one name":          {Fields{"filter_env": "AWS"}, func(s *api.Spec) { s.FilterEnv = &api.EnvFilter{Exact: []string{"AWS"}} }},
		"filter_env parts of names":    {Fields{"filter_env": []any{"AWS", "GCP"}}, func(s *api.Spec) { s.FilterEnv = &api.EnvFilter{Contains: []string{"AWS", "GCP"}} }},
		"filter_env nothing in a list": {Fields{"filter_env": []any{}}, func(*api.Spec) {}},

		"port is a variable": {Fields{"port": 3000}, func(s *api.Spec) { s.Env["PORT"] = "3000" }},
		"a port as a text":   {Fields{"port": "3000", "env": Fields{"PORT": 1}}, func(s *api.Spec) { s.Env["PORT"] = "3000" }},
		"variables become text": {Fields{"env": Fields{"A": 1, "B": 1.5, "C": true, "D": Fields{"x": []int{1}, "y": "<&>"}, "E": nil, "F": "", "G": 1e21}}, func(s *api.Spec) {
			s.Env = map[string]string{"A": "1", "B": "1.5", "C": "true", "D": `{"x":[1],"y":"<&>"}`, "F": "", "G": "1e+21"}
		}},
		"no variables in a text":  {Fields{"env": ""}, func(*api.Spec) {}},
		"other environments wait": {Fields{"env_production": Fields{"A": 1}}, func(*api.Spec) {}},
		"io is a variable, in JSON": {Fields{"io": Fields{"a": 1}}, func(s *api.Spec) {
			s.Env["io"] = `{"a":1}`
			s.Extra = map[string]any{"io": map[string]any{"a": int64(1)}}
		}},
		"automation off is pmx off": {Fields{"automation": false}, func(s *api.Spec) { s.Extra = map[string]any{"automation": false, "pmx": false} }},
		"what tend only keeps": {Fields{"vizion": false, "windowsHide": true, "kill_retry_time": "1s", "post_update": []any{"npm i"}}, func(s *api.Spec) {
			s.Extra = map[string]any{"vizion": false, "windowsHide": true, "kill_retry_time": int64(1000), "post_update": []string{"npm i"}}
		}},
		"ignore_watch without watch": {Fields{"ignore_watch": "a b", "watch_delay": 5, "watch": false}, func(s *api.Spec) {
			s.Extra = map[string]any{"ignore_watch": []string{"a", "b"}, "watch_delay": int64(5)}
		}},
		"watch the directory":         {Fields{"watch": true}, func(s *api.Spec) { s.Watch = &api.Watch{Paths: []string{s.Cwd}} }},
		"watch one path":              {Fields{"watch": "src"}, func(s *api.Spec) { s.Watch = &api.Watch{Paths: []string{s.Cwd + "/src"}} }},
		"watch some paths":            {Fields{"watch": []any{".", "/etc", "~/x"}}, func(s *api.Spec) { s.Watch = &api.Watch{Paths: []string{s.Cwd, "/etc", s.Cwd + "/home/x"}} }},
		"watch what a script has not": {Fields{"watch": ""}, func(*api.Spec) {}},
		"watch nothing in a list":     {Fields{"watch": []any{}}, func(*api.Spec) {}},
		"all about watching": {Fields{"watch": true, "ignore_watch": []any{"node_modules"}, "watch_delay": "1s", "watch_options": Fields{"usePolling": true}}, func(s *api.Spec) {
			s.Watch = &api.Watch{Paths: []string{s.Cwd}, Ignore: []string{"node_modules"}, Delay: 1000, Options: map[string]any{"usePolling": true}}
		}},
		"log files seen from cwd": {Fields{"out_file": "o.log", "error_file": "/var/e.log", "pid_file": "~/x.pid", "log_file": "c.log"}, func(s *api.Spec) {
			s.Log = api.Log{Out: s.Cwd + "/o.log", Err: "/var/e.log", Pid: s.Cwd + "/home/x.pid", Combined: s.Cwd + "/c.log", Merge: true}
		}},
		"log files by other names":    {Fields{"output": "/o", "err_log": "/e"}, func(s *api.Spec) { s.Log.Out, s.Log.Err = "/o", "/e" }},
		"no log files":                {Fields{"out": "NULL", "error": "/dev/null", "log": "NULL"}, func(s *api.Spec) { s.Log.Out, s.Log.Err, s.Log.Combined = "/dev/null", "/dev/null", "/dev/null" }},
		"a combined log by default":   {Fields{"log": true}, func(s *api.Spec) { s.Log.Combined = "true" }},
		"no combined log":             {Fields{"log": false}, func(*api.Spec) {}},
		"logs of each instance apart": {Fields{"merge_logs": false}, func(s *api.Spec) { s.Log.Merge = false }},
		"logs by an older name":       {Fields{"combine_logs": false}, func(s *api.Spec) { s.Log.Merge = false }},
		"the time of each line":       {Fields{"time": true}, func(s *api.Spec) { s.Log.Date = "YYYY-MM-DDTHH:mm:ss" }},
		"a format for the time":       {Fields{"time": true, "log_date_format": "HH:mm"}, func(s *api.Spec) { s.Log.Date = "HH:mm" }},
		"logs in JSON":                {Fields{"log_type": "json"}, func(s *api.Spec) { s.Log.Type = "json" }},
		"no logs":                     {Fields{"disable_logs": true}, func(s *api.Spec) { s.Log.Disabled = true }},
		"a limit of lines":            {Fields{"log_rate_limit": 500}, func(s *api.Spec) { s.Log.RateLimit = 500 }},
		"no rotation":                 {Fields{"log_rotate": false}, func(s *api.Spec) { s.Log.Rotation = &api.Rotation{Off: true} }},
		"no rotation, in an object":   {Fields{"log_rotate": Fields{"off": true, "retain": 3}}, func(s *api.Spec) { s.Log.Rotation = &api.Rotation{Off: true} }},
		"rotation as the home has it": {Fields{"log_rotate": true}, rotated(func(*api.Rotation) {})},
		"rotation of an empty object": {Fields{"log_rotate": Fields{}}, rotated(func(*api.Rotation) {})},
		"rotation in an object": {Fields{"log_rotate": Fields{
			"max_size": "10M", "retain": "all", "max_age": "7d", "interval": "0 0 * * *", "compress": "zstd", "date_format": "YYYY-MM", "total_cap": "1G",
		}}, rotated(func(r *api.Rotation) {
			*r = api.Rotation{
				MaxSize: 10 << 20, Retain: -1, MaxAge: 7 * 24 * 3_600_000, Interval: "0 0 * * *", Compress: "zstd", DateFormat: "YYYY-MM", TotalCap: 1 << 30,
			}
		})},
		"rotation in pm2-logrotate's words": {Fields{"log_rotate": Fields{"dateFormat": "YYYYMM", "rotateInterval": "0 3 * * *", "retain": "5", "compress": false}}, rotated(func(r *api.Rotation) {
			r.DateFormat, r.Interval, r.Retain, r.Compress = "YYYYMM", "0 3 * * *", 5, ""
		})},
		"rotation beside it all": {Fields{
			"log_max_size": 1048576, "logRetain": 3, "log_max_age": "1h", "log_rotate_interval": "0 * * * *", "log_compress": true,
			"log_rotate_date_format": "YYMMDDHH", "log_total_cap": "5G",
		}, rotated(func(r *api.Rotation) {
			*r = api.Rotation{
				MaxSize: 1 << 20, Retain: 3, MaxAge: 3_600_000, Interval: "0 * * * *", Compress: "gzip", DateFormat: "YYMMDDHH", TotalCap: 5 << 30,
			}
		})},
		"rotation in both":          {Fields{"log_rotate": Fields{"retain": 3}, "log_max_size": "1M"}, rotated(func(r *api.Rotation) { r.Retain, r.MaxSize = 3, 1<<20 })},
		"a limit that has no say":   {Fields{"log_rotate": Fields{"max_size": 0, "retain": nil}}, rotated(func(r *api.Rotation) { r.MaxSize = 0 })},
		"the mode in PM2's words":   {Fields{"exec_mode": "cluster_mode"}, func(s *api.Spec) { s.Mode, s.Log.Merge = api.Cluster, false }},
		"a command is never shared": {Fields{"exec_mode": "cluster", "execute_command": true}, func(*api.Spec) {}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": ""})
			got, _ := resolved(t, c, tt.fields, Options{})
			want := app.Default()
			want.Name, want.Script, want.Cwd, want.Username = "app", c.Cwd+"/app.js", c.Cwd, "ann"
			want.Interpreter, want.Env, want.Log.Merge = c.Cwd+"/bin/node", map[string]string{}, true
			tt.change(&want)
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("got - want +\n%s", diff)
			}
		})
	}
}

func TestFieldsThatAreWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		say    []string
	}{
		"a letter left out":                   {Fields{"max_memory_restat": 1}, []string{`unknown field "max_memory_restat"`, `did you mean "max_memory_restart"?`}},
		"a letter left out in camelCase":      {Fields{"maxMemoryRestat": 1}, []string{`did you mean "maxMemoryRestart"?`}},
		"dashes in place of underscores":      {Fields{"kill-timeout": 1}, []string{`did you mean "kill_timeout"?`}},
		"letters swapped":                     {Fields{"nmae": "x"}, []string{`did you mean "name"?`}},
		"a name that is cut short":            {Fields{"max_memory": 1}, []string{`did you mean "max_memory_restart"?`}},
		"a key of the file":                   {Fields{"app": []any{}}, []string{`did you mean "apps"?`}},
		"env without a name":                  {Fields{"env_": Fields{}}, []string{`unknown field "env_"`}},
		"a text for a flag":                   {Fields{"autorestart": "yes"}, []string{`autorestart: want true, false or "unexpected", got "yes"`}},
		"a number for a flag":                 {Fields{"time": 1}, []string{"time: want true or false, got 1"}},
		"a flag for a number":                 {Fields{"max_restarts": true}, []string{"max_restarts: want a number, got true"}},
		"a negative number":                   {Fields{"max_restarts": -1}, []string{"max_restarts: -1 is not between 0 and"}},
		"a number beyond all":                 {Fields{"max_restarts": 1e300}, []string{"max_restarts", "1e+300"}},
		"a duration below the least":          {Fields{"min_uptime": 50}, []string{"min_uptime: 50 is less than 100"}},
		"a negative duration":                 {Fields{"kill_timeout": -1}, []string{"kill_timeout: -1 is less than 0"}},
		"no duration":                         {Fields{"killTimeout": "soon"}, []string{`killTimeout: "soon" is not a duration`}},
		"a list for a duration":               {Fields{"kill_timeout": []any{1}}, []string{`kill_timeout: want a duration (milliseconds, or a text like "3s"), got [1]`}},
		"no size":                             {Fields{"max_memory_restart": "lots"}, []string{`max_memory_restart: "lots" is not a size`}},
		"a size that overflows":               {Fields{"max_memory_restart": "9999999999G"}, []string{"too large"}},
		"a list for a text":                   {Fields{"name": []any{"x"}}, []string{`name: want a text, got ["x"]`}},
		"a flag for the script":               {Fields{"script": true}, []string{"script: want a text, got true"}},
		"an object for args":                  {Fields{"args": Fields{"a": 1}}, []string{`args: want a text or a list of texts, got {"a":1}`}},
		"a list in args":                      {Fields{"args": []any{[]any{}}}, []string{"args: want"}},
		"a text for variables":                {Fields{"env": "A=1"}, []string{`env: want an object of variables, got "A=1"`}},
		"a list for variables":                {Fields{"env_prod": []any{}}, []string{"env_prod: want an object of variables, got []"}},
		"a mode that nobody knows":            {Fields{"exec_mode": "thread"}, []string{`exec_mode: want "fork" or "cluster", got "thread"`}},
		"a word for instances":                {Fields{"instances": "many"}, []string{`instances: want a whole number or "max", got "many"`}},
		"half an instance":                    {Fields{"instances": 1.5}, []string{`instances: want a whole number or "max", got 1.5`}},
		"half an instance in a text":          {Fields{"instances": "1.5"}, []string{`instances: want a whole number or "max", got "1.5"`}},
		"a balance that nobody knows":         {Fields{"balance": "least-conn"}, []string{`balance: want "round-robin", "shared" or "reuseport", got "least-conn"`}},
		"a number for the balance":            {Fields{"balance": 1}, []string{`balance: want "round-robin", "shared" or "reuseport", got 1`}},
		"a negative time to drain":            {Fields{"drain_timeout": -1}, []string{"drain_timeout: -1 is less than 0"}},
		"no time to drain":                    {Fields{"drainTimeout": "long"}, []string{`drainTimeout: "long" is not a duration`}},
		"too many instances":                  {Fields{"instances": 1e6}, []string{"instances: 1000000 is not between 1 and"}},
		"a rate below 0":                      {Fields{"log_rate_limit": -1}, []string{"log_rate_limit: -1 is not between 0 and"}},
		"a rate that is none":                 {Fields{"log_rate_limit": "fast"}, []string{`log_rate_limit: want a number, got "fast"`}},
		"a text for log_rotate":               {Fields{"log_rotate": "daily"}, []string{`log_rotate: want true, false or an object, got "daily"`}},
		"a letter left out in log_rotate":     {Fields{"log_rotate": Fields{"max_sze": 1}}, []string{`log_rotate: unknown field "max_sze"; did you mean "max_size"?`}},
		"what log_rotate does not know":       {Fields{"log_rotate": Fields{"colour": 1}}, []string{`unknown field "colour", it may hold compress, date_format`}},
		"a rotation said twice":               {Fields{"log_rotate": Fields{"max_size": "1M"}, "log_max_size": "2M"}, []string{"max_size is said twice"}},
		"no size of a log":                    {Fields{"log_max_size": "lots"}, []string{`log_max_size: "lots" is not a size`}},
		"a size of a log below all":           {Fields{"log_max_size": 10}, []string{`log_rotate: max_size: 10 bytes are less than 1K`}},
		"an interval that is too short":       {Fields{"log_rotate": Fields{"interval": "daily"}}, []string{`log_rotate: interval: cron pattern "daily": want minute`}},
		"a date that is a path":               {Fields{"log_rotate_date_format": "YYYY/MM"}, []string{`date_format: "YYYY/MM" dates a file`}},
		"a list in log_rotate":                {Fields{"log_rotate": Fields{"retain": []any{}}}, []string{"log_rotate: retain: want a text, got []"}},
		"a pattern that is too short":         {Fields{"cron_restart": "* * *"}, []string{`cron_restart: cron pattern "* * *": want minute`}},
		"a number for a pattern":              {Fields{"cron_restart": 5}, []string{"cron_restart"}},
		"no signal":                           {Fields{"stop_signal": "SIGNAL"}, []string{`stop_signal: "SIGNAL" is not the name or number of a signal`}},
		"an exit code that cannot be":         {Fields{"stop_exit_codes": []any{256}}, []string{"stop_exit_codes: 256 is not between 0 and 255"}},
		"a port that cannot be":               {Fields{"port": 65536}, []string{"port: 65536 is not between"}},
		"a type of logs that nobody knows":    {Fields{"log_type": "xml"}, []string{`log_type: want "raw" or "json", got "xml"`}},
		"one field twice":                     {Fields{"out": "a", "out_file": "b"}, []string{`"out" and "out_file" are the same field`}},
		"no exit code":                        {Fields{"stop_exit_codes": " "}, []string{`stop_exit_codes: want an exit code, got " "`}},
		"a number for watch":                  {Fields{"watch": 1}, []string{"watch: want"}},
		"a text for an object":                {Fields{"watch_options": "x"}, []string{`watch_options: want an object, got "x"`}},
		"an object for a list":                {Fields{"post_update": Fields{}}, []string{`post_update: want a list of command lines, got {}`}},
		"a name that commands use":            {Fields{"name": "all"}, []string{`app all: name: "all" is reserved`}},
		"a variable that no process can have": {Fields{"env": Fields{"A=B": "x"}}, []string{`"A=B"`}},
		"a value that is long":                {Fields{"autostart": strings.Repeat("é", 100)}, []string{"éé…"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": ""})
			f := maps.Clone(tt.fields)
			if look(f, "script") == nil {
				f["script"] = "app.js"
			}
			_, _, err := Resolve(c, "eco.json", f, Options{})
			wantError(t, err, errs.Invalid, append(tt.say, "check eco.json: app")...)
			if strings.Contains(err.Error(), "faults") {
				t.Errorf("%v: want one fault", err)
			}
		})
	}
}

// TestAllFaultsOfAField: what holds several things tells what is wrong with each,
// in an order that does not change.
func TestAllFaultsOfAField(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		want   []string
	}{
		"log_rotate": {Fields{"log_rotate": Fields{"retain": 0, "compress": "xz"}}, []string{`log_rotate: compress: "xz" is none of`, `log_rotate: retain: "0" is not`}},
		"limits":     {Fields{"limits": Fields{"a": 1, "nofile": -5}}, []string{"limits: a: no such resource", "limits: nofile: want"}},
		"env": {
			Fields{"env": Fields{"C": Fields{"from": "x:"}, "A": Fields{"from": "file:"}, "B": "x"}},
			[]string{`env: A: "file:" says nothing`, "env: C: want file:PATH"},
		},
		"names in env": {Fields{"env": Fields{"B=": "x", "A=": "x"}}, []string{`env: "A="`, `env: "B="`}},
		"env_file":     {Fields{"env_file": ".env"}, []string{".env: A: ", ".env: B: "}},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": "", ".env": "B=secret:cmd:\nA=secret:file:\n"})
			tt.fields["script"] = "app.js"
			_, _, err := Resolve(c, "eco.json", tt.fields, Options{})
			wantError(t, err, errs.Invalid, append(tt.want, "2 faults")...)
			if text := err.Error(); strings.Index(text, tt.want[0]) > strings.Index(text, tt.want[1]) {
				t.Errorf("got %q, want them sorted", text)
			}
		})
	}
}

// TestEachFieldRefuses: whatever a field is, there is something that it cannot be,
// and the error names the file, the app and the field.
func TestEachFieldRefuses(t *testing.T) {
	anything := Fields{"x": Fields{}} // an object is nothing that most can be
	wrong := map[string]any{"io": "text", "watch_options": 5, "env": "A=1", "env_file": []any{Fields{}}, "limits": 5, "log_rotate": 5}
	for _, f := range table {
		for _, name := range append([]string{f.name}, f.aliases...) {
			bad, ok := wrong[f.name]
			if !ok {
				bad = anything
			}
			c := world(t, map[string]string{"app.js": ""})
			given := Fields{"name": "api", name: bad}
			if look(given, "script") == nil {
				given["script"] = "app.js"
			}
			_, _, err := Resolve(c, "eco.json", given, Options{})
			want := []string{"check eco.json: app api: " + name + ": "}
			if f.name == "name" || f.name == "script" { // then the app has another name, or none
				want = []string{"check eco.json: app", name + ": want"}
			}
			if f.name == "script" {
				continue // told in a test of its own: an app may lack it too
			}
			wantError(t, err, errs.Invalid, want...)
		}
	}
}

func TestRightsThatAreWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		fields Fields
		say    string
	}{
		"no octal digits":           {Fields{"umask": "088"}, `umask: want octal digits in a text, like "022", got "088"`},
		"too many bits":             {Fields{"umask": "1000"}, `umask: want octal digits`},
		"half a mask":               {Fields{"umask": 1.5}, "umask: want octal digits"},
		"a limit that is none":      {Fields{"nofile": "many"}, `nofile: want a number, "unlimited", or "soft:hard", got "many"`},
		"three sides of a limit":    {Fields{"nofile": "1:2:3"}, `nofile: want a number`},
		"half a limit":              {Fields{"nofile": 1.5}, "nofile: want a number"},
		"a limit below all":         {Fields{"core": -2}, "core: want a number"},
		"a soft limit too high":     {Fields{"nofile": "5:4"}, `nofile: "5:4": the soft limit is above the hard one`},
		"more than a limit":         {Fields{"nproc": "unlimited:4"}, "the soft limit is above the hard one"},
		"one side in an object":     {Fields{"nproc": Fields{"soft": 4}}, "nproc: want a number"},
		"a letter left out":         {Fields{"limits": Fields{"nofle": 5}}, `limits: nofle: no such resource; did you mean "nofile"?`},
		"no resource":               {Fields{"limits": Fields{"beer": 5}}, "limits: beer: no such resource; there are as, core,"},
		"a limit said twice":        {Fields{"limits": Fields{"core": 5}, "core": 5}, "it is said twice, here and in limits"},
		"half a place in the order": {Fields{"priority": 1.5}, "priority: want a whole number, got 1.5"},
		"half a start":              {Fields{"instance_start": -1}, "instance_start: -1 is not between 0"},
		"tries below 0":             {Fields{"start_retries": -1}, "start_retries: -1 is not between 0"},
		"a time below 0":            {Fields{"start_secs": -1}, "start_secs: -1 is not between 0"},
		"a time that is none":       {Fields{"start_secs": "soon"}, `start_secs: "soon" is not a duration`},
		"a group of nobody":         {Fields{"groups": []any{1.5}}, "groups: want a list of names or numbers of groups, got [1.5]"},
		"who is killed":             {Fields{"treekill": "all"}, `treekill: want true, false, "tree" or "group", got "all"`},
		"a code beyond all":         {Fields{"exitcodes": "0,999"}, "exitcodes: \"999\" is not between 0 and 255"},
		"a template of nothing":     {Fields{"args": "--n {{worker}}"}, "args: {{worker}} is no template; there are {{instance}}"},
		"a variable of nobody":      {Fields{"args": "{{env.NOBODY}}"}, "{{env.NOBODY}}: there is no such variable"},
		"one number, two names":     {Fields{"instances": 2, "numprocs": 2}, `"instances" and "numprocs" are the same field`},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, map[string]string{"app.js": ""})
			f := maps.Clone(tt.fields)
			f["script"] = "app.js"
			_, _, err := Resolve(c, "eco.json", f, Options{})
			wantError(t, err, errs.Invalid, tt.say, "check eco.json: app")
		})
	}
}

func TestNothingIsNearToNonsense(t *testing.T) {
	for _, key := range []string{"foo", "x", "", "qqqqqqqq", "db"} {
		if hint := meant(key); hint != "" {
			t.Errorf("%q: got hint %s", key, hint)
		}
	}
}

// Every name and alias can be written in camelCase too, and none is two fields.
func TestSpellings(t *testing.T) {
	for spelling, name := range map[string]string{
		"exec": "script", "cmd": "script", "command": "script", "interpreter": "exec_interpreter", "execInterpreter": "exec_interpreter",
		"interpreter_args": "node_args", "nodeArgs": "node_args", "user": "uid", "cron": "cron_restart", "maxMemoryRestart": "max_memory_restart",
		"out": "out_file", "outLog": "out_file", "errFile": "error_file", "log": "log_file", "pid": "pid_file", "combineLogs": "merge_logs",
		"expBackoffRestartDelay": "exp_backoff_restart_delay", "windowsHide": "windowsHide", "killSignal": "stop_signal", "v8": "v8",
	} {
		if f := spellings[spelling]; f == nil || f.name != name {
			t.Errorf("%s: got %v, want %s", spelling, f, name)
		}
	}
	seen := map[string]string{}
	for _, f := range table {
		for _, name := range append(slices.Clone(f.aliases), f.name) {
			if seen[name] != "" {
				t.Errorf("%s is both %s and %s", name, seen[name], f.name)
			}
			seen[name] = f.name
		}
	}
}

// No value of a wrong type comes through as something else, and none panics.
func TestFieldsTakeAnything(t *testing.T) {
	names := slices.Sorted(maps.Keys(spellings))
	scalar := rapid.OneOf(rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any]("NULL"),
		rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }))
	value := rapid.OneOf(scalar, rapid.Map(rapid.SliceOf(scalar), func(s []any) any { return s }),
		rapid.Map(rapid.MapOf(rapid.String(), scalar), func(m map[string]any) any { return m }))
	c := world(t, map[string]string{"app.js": ""})
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.MapOfN(rapid.SampledFrom(names), value, 0, 5).Draw(t, "fields")
		s, _, err := Resolve(c, "test", f, Options{})
		if err == nil && app.Validate(&s) != nil {
			t.Fatalf("%v gave a Spec that is not valid", f)
		}
	})
}

func TestDistance(t *testing.T) {
	for words, want := range map[[2]string]int{
		{"", ""}: 0, {"a", ""}: 1, {"", "abc"}: 3, {"name", "nmae"}: 2, {"watch", "wach"}: 1, {"kitten", "sitting"}: 3,
	} {
		if got := distance(words[0], words[1]); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", words[0], words[1], got, want)
		}
		if got := distance(words[1], words[0]); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", words[1], words[0], got, want)
		}
	}
}
