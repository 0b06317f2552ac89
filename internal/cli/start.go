package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/api"
	"tend/client"
	"tend/internal/app"
	"tend/internal/config"
	"tend/internal/errs"
)

// startOptions are what start, restart and reload are asked for.
type startOptions struct {
	targets   []string
	args      []string      // of the app, from behind "--"
	fields    config.Fields // the options that describe an app
	file      config.Options
	ignored   []string // the options among fields that a configuration file does not heed
	alters    bool     // what is in the list is to be another, by more than a --watch
	watch     bool
	toggle    bool // what watch asks for is the other of on and off
	force     bool
	updateEnv bool
	attach    bool
	write     bool // the definition of what is started to a file, too
	parallel  int
	listing   listOptions

	// renew gives a new process also to an app that is as its file wants it.
	renew bool
	// reload replaces processes as api.ActReload does.
	reload bool
	// present keeps to the apps of a file that are in the list.
	present bool
	// adjust has the last word on an app; it may be nil.
	adjust func(*api.Spec)
	// started are the targets that the logs are followed of.
	started *[]string
}

func newStart(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "start [script|file|name|id|-...]", Short: "start scripts, commands, or the apps of a file",
		Example: "  " + env.Program + " start api.js -i max          a node script on every core\n" +
			"  " + env.Program + " start ./server -- --port 80  a program with arguments\n" +
			"  " + env.Program + " start \"npm run dev\" -n dev   a command\n" +
			"  " + env.Program + " start ecosystem.config.js    the apps of a file",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := parseStart(env, cmd.Flags(), args)
			if err != nil {
				return err
			}
			return runStart(cmd.Context(), env, opts)
		},
	}
}

func parseStart(env *Env, set *pflag.FlagSet, targets []string) (startOptions, error) {
	parallel, err := env.parallel(set)
	other := func(o string) bool { return o != "--watch" }
	return startOptions{
		targets: targets, args: env.rest, fields: fields(set), file: fileOptions(set), ignored: ignoredByFiles(set),
		alters: len(env.rest) > 0 || slices.ContainsFunc(describing(set), other), watch: set.Changed("watch"),
		force: on(set, "force"), updateEnv: on(set, "update-env"), attach: on(set, "attach"), write: on(set, "write"),
		parallel: parallel, listing: listOptions{mini: on(set, "mini-list"), sort: str(set, "sort")},
		started: new([]string),
	}, err
}

// ignoredByFiles are the options in set that only scripts heed.
func ignoredByFiles(set *pflag.FlagSet) []string {
	return slices.DeleteFunc(describing(set), func(o string) bool {
		return slices.Contains([]string{"--cwd", "--uid", "--gid", "--user", "--namespace", "--watch"}, o)
	})
}

func runStart(ctx context.Context, env *Env, opts startOptions) error {
	if len(opts.targets) == 0 {
		opts.targets = []string{env.defaultFile()}
	}
	return env.with(ctx, func(c *client.Client) error {
		if err := env.startEach(ctx, c, opts); err != nil {
			return err
		}
		return env.conclude(ctx, c, opts)
	})
}

func (e *Env) startEach(ctx context.Context, c *client.Client, opts startOptions) error {
	return e.each(ctx, opts.targets, func(t string) error {
		if t == "-" || config.IsFile(t) {
			return e.startFile(ctx, c, t, opts)
		}
		return e.startTarget(ctx, c, t, opts)
	})
}

// defaultFile is the configuration file in the current directory. PM2 knows
// only the first name.
func (e *Env) defaultFile() string {
	all := []string{
		"ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.config.mjs", "ecosystem.config.ts",
		"ecosystem.json", "ecosystem.yaml", "ecosystem.yml", "ecosystem.toml",
	}
	for _, name := range all {
		if e.exists(name) {
			return name
		}
	}
	return all[0]
}

func (e *Env) exists(path string) bool {
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.Cwd, path)
	}
	_, err := os.Stat(path)
	return err == nil
}

// startTarget starts what is no file of configuration: something in the list,
// or a script.
func (e *Env) startTarget(ctx context.Context, c *client.Client, target string, opts startOptions) error {
	if name := opts.file.EnvName; name != "" { // PM2 takes it too, and it means nothing
		e.warn("%s: --env %s has no effect without a configuration file", target, name)
		opts.file.EnvName = ""
	}
	list, err := c.Instances(ctx, client.Query{})
	if err != nil {
		return err
	}
	if found := e.known(target, list); len(found) > 0 || isNumber(target) || target == "all" {
		act := api.ActStart
		if slices.ContainsFunc(found, running) {
			act = api.ActRestart
		}
		if err := e.actOn(ctx, c, act, target, opts); err != nil {
			return err
		}
		e.info("Process successfully started")
		return nil
	}
	return e.startScript(ctx, c, target, list, opts)
}

// known are the instances that a target of start means. A word that may be a
// script as well means what is in the list; a path means a script.
func (e *Env) known(target string, list []api.Instance) []api.Instance {
	pattern := len(target) > 2 && strings.HasPrefix(target, "/") && strings.HasSuffix(target, "/")
	path := !pattern && strings.Contains(target, "/")
	if path || filepath.Ext(target) != "" && e.exists(target) {
		return nil
	}
	if pattern || target == "all" {
		return list
	}
	for _, match := range []func(api.Instance) bool{
		func(in api.Instance) bool { return in.Name == target },
		func(in api.Instance) bool { return in.Namespace == target },
		func(in api.Instance) bool { return strconv.Itoa(in.ID) == target },
	} {
		if found := slices.DeleteFunc(slices.Clone(list), func(in api.Instance) bool { return !match(in) }); len(found) > 0 {
			return found
		}
	}
	return nil
}

// running tells that in has a process, or will have one by itself.
func running(in api.Instance) bool {
	switch in.State {
	case api.Launching, api.Online, api.Waiting:
		return true
	case api.Stopping, api.Stopped, api.Errored:
	}
	return false
}

// actOn starts, restarts or reloads what is in the list.
func (e *Env) actOn(ctx context.Context, c *client.Client, act, target string, opts startOptions) error {
	req := api.ActRequest{
		Act: act, Targets: []string{target}, Cwd: e.Cwd, Parallel: opts.parallel, Force: opts.reload && opts.force,
	}
	if opts.updateEnv {
		req.Inherited = e.inherited()
	}
	// Without a path it switches what the app has; with one it is a field like
	// others, as it is for a reload.
	amends := opts.alters || opts.watch
	if opts.fields["watch"] == true && !opts.reload {
		req.Watch = api.WatchOn
		if opts.toggle {
			req.Watch = api.WatchToggle
		}
		opts.fields = maps.Clone(opts.fields)
		delete(opts.fields, "watch")
		amends = opts.alters
	}
	*opts.started = append(*opts.started, target)
	if !amends {
		return c.Act(ctx, req, e.progress)
	}
	return e.amend(ctx, c, req, opts)
}

func (e *Env) startScript(ctx context.Context, c *client.Client, script string, list []api.Instance, opts startOptions) error {
	f := config.Fields{"script": script}
	maps.Copy(f, opts.fields)
	if len(opts.args) > 0 {
		f["args"] = opts.args
	}
	spec, warnings, err := config.Resolve(e.context(), "command line", f, opts.file)
	e.warnAll(warnings)
	if err != nil {
		return err
	}
	opts.settle(&spec)
	req := api.StartRequest{Inherited: e.inherited(), Apps: []api.Spec{spec}, Force: opts.force, Parallel: opts.parallel}
	for _, in := range list {
		switch {
		case in.Name != spec.Name:
		case in.Script != spec.Script:
			// Two directories may each have an index.js: they are two apps of
			// one name, and starting the one must not replace the other.
			req.Force = true
		case running(in) && !opts.force:
			return &errs.Error{
				Op: "start", On: script, Kind: errs.Exists, Err: errors.New("the script runs already, as " + in.Name),
				Hint: "restart it, give the new one another --name, or start it once more with -f",
			}
		}
	}
	if opts.write {
		if err := e.writeDefinition(spec.Name, f, opts.file); err != nil {
			return err
		}
	}
	*opts.started = append(*opts.started, spec.Name)
	e.info("Starting %s in %s_mode (%s)", spec.Script, spec.Mode, counted(spec.Instances, "instance"))
	err = c.Start(ctx, req, func(ev api.Event) {
		switch {
		case ev.Kind == api.EventApp:
			e.measure(len(ev.IDs))
		case ev.Kind == api.EventInstance && ev.OK:
			e.count(ev)
		case ev.Kind == api.EventInstance && spec.Instances == 1: // the error of the whole tells it
		case ev.Kind == api.EventInstance, ev.Kind == api.EventNote, ev.Kind == api.EventWarning:
			e.progress(ev)
		}
	})
	if err == nil {
		e.info("Done.")
	}
	return err
}

func (o startOptions) settle(app *api.Spec) {
	if o.adjust != nil {
		o.adjust(app)
	}
}

func (e *Env) warnAll(warnings []string) {
	for _, w := range warnings {
		e.warn("%s", w)
	}
}

// startFile starts the apps of a configuration file. Those that are in the list
// are restarted or reloaded with what the file says of them now: what is wanted
// anew all of them, else what has changed.
func (e *Env) startFile(ctx context.Context, c *client.Client, file string, opts startOptions) error {
	r, fault := e.load(ctx, file, opts.file)
	e.warnAll(r.Warnings)
	// A script that is missing spoils one app; a file that is wrong is wrong
	// as a whole.
	if fault != nil && (errs.KindOf(fault) != errs.NotFound || len(r.Apps) == 0) {
		return fault
	}
	if len(opts.ignored) > 0 {
		e.warn("%s: with a configuration file these have no effect", strings.Join(opts.ignored, ", "))
	}
	list, err := c.Instances(ctx, client.Query{})
	if err != nil {
		return err
	}
	there := func(spec api.Spec) bool {
		return slices.ContainsFunc(list, func(in api.Instance) bool { return in.Name == spec.Name })
	}
	if opts.present {
		r.Apps = slices.DeleteFunc(r.Apps, func(spec api.Spec) bool { return !there(spec) })
	}
	var missing []string
	for i := range r.Apps {
		spec := &r.Apps[i]
		*opts.started = append(*opts.started, spec.Name)
		if opts.watch {
			*spec = *app.WatchedAgain(spec)
		}
		opts.settle(spec)
		if !there(*spec) {
			missing = append(missing, spec.Name)
		}
	}
	if len(r.Apps) == 0 {
		e.warn("%s: none of its apps is in the list", file)
		return fault
	}
	if len(missing) > 0 {
		e.info("Applications %s not running, starting...", strings.Join(missing, ", "))
	}
	req := api.StartRequest{
		Inherited: e.inherited(), Apps: r.Apps, Reload: opts.reload, Force: opts.reload && opts.force, Parallel: opts.parallel,
		Changed: !opts.renew && !opts.force, UpdateEnv: opts.updateEnv,
	}
	return errors.Join(c.Start(ctx, req, e.progress), fault)
}

func (e *Env) load(ctx context.Context, file string, o config.Options) (config.Result, error) {
	if file != "-" {
		return config.Load(ctx, e.context(), file, o)
	}
	text, err := e.readStdin()
	if err != nil {
		return config.Result{}, err
	}
	return config.Parse(ctx, e.context(), file, text, o)
}

// conclude ends a start: with the list, which PM2 does not print after a
// reload, and the logs when they are asked for.
func (e *Env) conclude(ctx context.Context, c *client.Client, opts startOptions) error {
	if !opts.reload {
		if err := e.list(ctx, c, opts.listing); err != nil {
			return err
		}
	}
	if !opts.attach {
		return nil
	}
	e.info("Streaming the logs of %s until Ctrl-C", strings.Join(*opts.started, ", "))
	return e.logs(ctx, c, logsOptions{targets: *opts.started})
}
