package config

// A meaning is what a field is to people and to their editors.
type meaning struct {
	shape shape
	text  string
}

// meanings are those of all fields in table, by name. They are made when
// somebody asks: most commands do not.
func meanings() map[string]meaning {
	// These are the values that the functions in value.go read.
	text := ofType("string", "number")
	flag := either(ofType("boolean"), oneOf("true", "false"))
	texts := either(text, listOf(ofType("string", "number", "boolean")))
	anyNumber := either(ofType("number"), matching(numeric))
	number := either(shape{"type": "number", "minimum": 0}, matching(numeric))
	duration := either(number, matching(`^\s*[0-9.]+\s*[a-zA-Z]+\s*$`)) // or a size
	code := either(shape{"type": "integer", "minimum": 0, "maximum": 255}, ofType("string"))
	codes := either(code, listOf(code))
	account := either(ofType("string"), shape{"type": "integer", "minimum": 0})
	object := ofType("object")
	env := either(object, oneOf(""))
	watch := either(flag, ofType("string"), listOf(ofType("string", "number", "boolean")))
	filter := either(ofType("boolean"), texts)
	combined := either(flag, text)
	rotation := ofType("string", "number", "boolean")
	seconds := either(shape{"type": "number", "minimum": 0}, ofType("string"))
	limit := limitShape()
	return map[string]meaning{
		// Identity and launch.
		"script":             {text, "the file to run, or a command line for a shell"},
		"name":               {text, "the name of the app; the script's without it"},
		"name_prefix":        {text, "what stands before the name, with a colon"},
		"namespace":          {text, "a name that several apps share, to act on all of them"},
		"cwd":                {text, "the directory to run in; that of the command line without it"},
		"args":               {texts, "arguments of the script: a list, or one text that is split at spaces outside quotes"},
		"exec_interpreter":   {text, "what runs the script: a program, node@20, or none for the script itself"},
		"node_args":          {texts, "arguments of the interpreter, before the script"},
		"exec_mode":          {oneOf("fork", "cluster", "fork_mode", "cluster_mode"), "cluster lets instances share ports, for Node only"},
		"execute_command":    {flag, "run in fork mode whatever else is said"},
		"instances":          {either(ofType("integer"), oneOf("max"), matching(numeric)), "how many to run; max or 0: one a core; -1: one less than cores"},
		"balance":            {oneOf("round-robin", "round_robin", "rr", "shared", "none", "reuseport"), "how connections come to the workers of a cluster"},
		"instance_start":     {number, "the number of the first instance"},
		"instance_var":       {text, "the variable that holds the number of the instance"},
		"increment_var":      {text, "a variable that grows by one from instance to instance"},
		"port":               {anyNumber, "the variable PORT"},
		"uid":                {account, "the user to run as, by name or number (root only)"},
		"gid":                {account, "the group to run as, by name or number (root only)"},
		"groups":             {either(account, listOf(account)), "supplementary groups, in place of the user's"},
		"umask":              {either(shape{"type": "integer", "minimum": 0, "maximum": 511}, matching(`^(0o)?[0-7]+$`)), "the bits that files of the app do not get: octal in a text, as 027"},
		"limits":             {limitsShape(limit), "resource limits by name (nofile, nproc, core, as, ...): a number, unlimited, or soft:hard"},
		"nofile":             {limit, "how many files the app may have open"},
		"nproc":              {limit, "how many processes its user may have"},
		"core":               {limit, "how large a core file may be"},
		"priority":           {either(ofType("integer"), matching(numeric)), "of the apps of one command the lowest starts first and stops last; 999 without it"},
		"username":           {text, "the name that lists show as the user"},
		"env":                {env, "variables of the app; objects become JSON, but for {\"from\": \"file:...\"}, which says where a secret is"},
		"env_file":           {texts, "files of variables (.env), below env"},
		"filter_env":         {filter, "variables not to inherit: true for all, a list for those whose name holds one of it, a text for that one"},
		"append_env_to_name": {flag, "with --env NAME the app is called name-NAME"},
		"autostart":          {flag, "false: list the app without starting it"},

		// What PM2 takes for its agent and its wrapper around node; tend keeps it.
		"io":                         {object, "settings of PM2's agent in the app, which finds them in the variable io"},
		"force":                      {flag, "no effect in a file, as in PM2"},
		"install_url":                {text, "where a module of PM2 came from"},
		"write":                      {flag, "no effect"},
		"windowsHide":                {flag, "no effect: there are no windows"},
		"trace":                      {flag, "no effect"},
		"disable_trace":              {flag, "no effect"},
		"v8":                         {flag, "no effect"},
		"event_loop_inspector":       {flag, "no effect"},
		"deep_monitoring":            {flag, "no effect"},
		"pmx":                        {flag, "no effect"},
		"automation":                 {flag, "no effect"},
		"vizion":                     {flag, "false: do not look which revision of a repository the app stands in"},
		"source_map_support":         {flag, "have Node show places in source files"},
		"disable_source_map_support": {flag, "do not"},

		// Restart policy and lifecycle.
		"autorestart":               {either(flag, oneOf("unexpected")), "false: an app that ends stays ended; unexpected: unless its exit code is one of expected_exit_codes"},
		"expected_exit_codes":       {codes, "exit codes after which unexpected does not restart; 0 without them"},
		"start_secs":                {seconds, "stay launching until the app was up so long; an end before is one that came too early"},
		"start_retries":             {number, "so many tries after a start that failed, then give up"},
		"stop_exit_codes":           {codes, "exit codes after which the app is not restarted"},
		"max_restarts":              {number, "give up after so many exits that came too early"},
		"min_uptime":                {duration, "an exit before this is one that came too early: milliseconds, or a text like 3s"},
		"restart_delay":             {duration, "wait this long before an automatic restart"},
		"exp_backoff_restart_delay": {duration, "the first of growing waits before automatic restarts"},
		"max_memory_restart":        {duration, "restart above this memory: bytes, or a text like 200M"},
		"cron_restart":              {text, "restart at the times of this pattern of cron; 0 for never"},
		"cron_restart_stopped":      {flag, "false: cron_restart does not start an app that was stopped"},
		"stop_signal":               {text, "the signal that asks the app to end"},
		"kill_timeout":              {duration, "wait this long after it before SIGKILL"},
		"kill_retry_time":           {duration, "no effect: the kernel tells when a process has ended"},
		"treekill":                  {either(flag, oneOf("tree", "group")), "whom the signal reaches: tree or true all that the app started, group what is in its process group, false its first process alone"},
		"shutdown_with_message":     {flag, `ask the app to end by the message "shutdown", not by a signal`},
		"wait_ready":                {flag, "the app is online once it says so, by process.send('ready')"},
		"listen_timeout":            {duration, "wait this long for that"},
		"drain_timeout":             {duration, "let an old worker finish its requests this long in a reload"},
		"watch":                     {watch, "restart when files change: true for those in cwd, or paths"},
		"ignore_watch":              {texts, "files whose change means nothing"},
		"watch_delay":               {duration, "wait this long after a change"},
		"watch_options":             {object, "options of chokidar, as PM2 has them"},
		"post_update":               {texts, "commands for PM2's pull, which tend does not have"},
		"exec_timeout":              {duration, "how long each of them may take"},

		// Logs.
		"out_file":               {text, "where standard output goes"},
		"error_file":             {text, "where standard error goes"},
		"log_file":               {combined, "where both go together; true: to the usual place"},
		"pid_file":               {text, "where the pid is written"},
		"merge_logs":             {flag, "one file for all instances"},
		"log_date_format":        {text, "the date before each line, in tokens of day.js"},
		"time":                   {flag, "a date before each line, as YYYY-MM-DDTHH:mm:ss"},
		"log_type":               {oneOf("raw", "json", ""), "json: each line as an object"},
		"disable_logs":           {flag, "write no logs"},
		"log_rate_limit":         {number, "drop what a stream writes beyond so many lines a second"},
		"log_rotate":             {rotateShape(flag, rotation), "put log files aside when they are large or old; false: never"},
		"log_max_size":           {rotation, "put a log file aside at this size: 10M"},
		"log_retain":             {rotation, "keep so many of the files put aside"},
		"log_max_age":            {rotation, "keep them this long: 7d"},
		"log_rotate_interval":    {rotation, "put log files aside at the times of this pattern of cron"},
		"log_compress":           {rotation, "compress them: gzip, zstd or none"},
		"log_rotate_date_format": {rotation, "the date in their names, in tokens of day.js"},
		"log_total_cap":          {rotation, "how much all of those of one app may hold"},
	}
}
