package config

// A meaning is what a field is to people and to their editors.
type meaning struct {
	shape shape
	text  string
}

// meanings are those of all fields in table, by name. They are made when
// somebody asks: most commands do not.
func meanings() map[string]meaning {
	return map[string]meaning{
		// Identity and launch.
		"script":             {textShape, "the file to run, or a command line for a shell"},
		"name":               {textShape, "the name of the app; the script's without it"},
		"name_prefix":        {textShape, "what stands before the name, with a colon"},
		"namespace":          {textShape, "a name that several apps share, to act on all of them"},
		"cwd":                {textShape, "the directory to run in; that of the command line without it"},
		"args":               {textsShape, "arguments of the script: a list, or one text that is split at spaces outside quotes"},
		"exec_interpreter":   {textShape, "what runs the script: a program, node@20, or none for the script itself"},
		"node_args":          {textsShape, "arguments of the interpreter, before the script"},
		"exec_mode":          {oneOf("fork", "cluster", "fork_mode", "cluster_mode"), "cluster lets instances share ports, for Node only"},
		"execute_command":    {flagShape, "run in fork mode whatever else is said"},
		"instances":          {either(ofType("integer"), oneOf("max"), matching(numeric)), "how many to run; max or 0: one a core; -1: one less than cores"},
		"balance":            {oneOf("round-robin", "round_robin", "rr", "shared", "none", "reuseport"), "how connections come to the workers of a cluster"},
		"instance_var":       {textShape, "the variable that holds the number of the instance"},
		"increment_var":      {textShape, "a variable that grows by one from instance to instance"},
		"port":               {anyNumber, "the variable PORT"},
		"uid":                {accountShape, "the user to run as, by name or number (root only)"},
		"gid":                {accountShape, "the group to run as, by name or number (root only)"},
		"username":           {textShape, "the name that lists show as the user"},
		"env":                {envShape, "variables of the app; objects become JSON"},
		"filter_env":         {filterShape, "variables not to inherit: true for all, a list for those whose name holds one of it, a text for that one"},
		"append_env_to_name": {flagShape, "with --env NAME the app is called name-NAME"},
		"autostart":          {flagShape, "false: list the app without starting it"},

		// What PM2 takes for its agent and its wrapper around node; tend keeps it.
		"io":                         {objectShape, "settings of PM2's agent in the app, which finds them in the variable io"},
		"force":                      {flagShape, "no effect in a file, as in PM2"},
		"install_url":                {textShape, "where a module of PM2 came from"},
		"write":                      {flagShape, "no effect"},
		"windowsHide":                {flagShape, "no effect: there are no windows"},
		"trace":                      {flagShape, "no effect"},
		"disable_trace":              {flagShape, "no effect"},
		"v8":                         {flagShape, "no effect"},
		"event_loop_inspector":       {flagShape, "no effect"},
		"deep_monitoring":            {flagShape, "no effect"},
		"pmx":                        {flagShape, "no effect"},
		"automation":                 {flagShape, "no effect"},
		"vizion":                     {flagShape, "false: do not look which revision of a repository the app stands in"},
		"source_map_support":         {flagShape, "have Node show places in source files"},
		"disable_source_map_support": {flagShape, "do not"},

		// Restart policy and lifecycle.
		"autorestart":               {flagShape, "false: an app that ends stays ended"},
		"stop_exit_codes":           {codesShape, "exit codes after which the app is not restarted"},
		"max_restarts":              {numberShape, "give up after so many exits that came too early"},
		"min_uptime":                {durationShape, "an exit before this is one that came too early: milliseconds, or a text like 3s"},
		"restart_delay":             {durationShape, "wait this long before an automatic restart"},
		"exp_backoff_restart_delay": {durationShape, "the first of growing waits before automatic restarts"},
		"max_memory_restart":        {durationShape, "restart above this memory: bytes, or a text like 200M"},
		"cron_restart":              {textShape, "restart at the times of this pattern of cron; 0 for never"},
		"stop_signal":               {textShape, "the signal that asks the app to end"},
		"kill_timeout":              {durationShape, "wait this long after it before SIGKILL"},
		"kill_retry_time":           {durationShape, "no effect: the kernel tells when a process has ended"},
		"treekill":                  {flagShape, "false: signal only the main process"},
		"shutdown_with_message":     {flagShape, `ask the app to end by the message "shutdown", not by a signal`},
		"wait_ready":                {flagShape, "the app is online once it says so, by process.send('ready')"},
		"listen_timeout":            {durationShape, "wait this long for that"},
		"drain_timeout":             {durationShape, "let an old worker finish its requests this long in a reload"},
		"watch":                     {watchShape, "restart when files change: true for those in cwd, or paths"},
		"ignore_watch":              {textsShape, "files whose change means nothing"},
		"watch_delay":               {durationShape, "wait this long after a change"},
		"watch_options":             {objectShape, "options of chokidar, as PM2 has them"},
		"post_update":               {ofType("array"), "commands for PM2's pull, which tend does not have"},
		"exec_timeout":              {durationShape, "how long each of them may take"},

		// Logs.
		"out_file":               {textShape, "where standard output goes"},
		"error_file":             {textShape, "where standard error goes"},
		"log_file":               {logShape, "where both go together; true: to the usual place"},
		"pid_file":               {textShape, "where the pid is written"},
		"merge_logs":             {flagShape, "one file for all instances"},
		"log_date_format":        {textShape, "the date before each line, in tokens of day.js"},
		"time":                   {flagShape, "a date before each line, as YYYY-MM-DDTHH:mm:ss"},
		"log_type":               {oneOf("raw", "json", ""), "json: each line as an object"},
		"disable_logs":           {flagShape, "write no logs"},
		"log_rate_limit":         {numberShape, "drop what a stream writes beyond so many lines a second"},
		"log_rotate":             {rotateShape(), "put log files aside when they are large or old; false: never"},
		"log_max_size":           {rotationShape, "put a log file aside at this size: 10M"},
		"log_retain":             {rotationShape, "keep so many of the files put aside"},
		"log_max_age":            {rotationShape, "keep them this long: 7d"},
		"log_rotate_interval":    {rotationShape, "put log files aside at the times of this pattern of cron"},
		"log_compress":           {rotationShape, "compress them: gzip, zstd or none"},
		"log_rotate_date_format": {rotationShape, "the date in their names, in tokens of day.js"},
		"log_total_cap":          {rotationShape, "how much all of those of one instance may hold"},
	}
}
