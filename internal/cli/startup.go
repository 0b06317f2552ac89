package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/startup"
)

// bootOptions are what startup and unstartup are asked for.
type bootOptions struct {
	platform string // "" for what the machine has
	user     string // "" for who runs the command
	userHome string // "" for what the machine says it is
	service  string // "" for tend-USER
	online   bool
}

func newStartup(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "startup [platform]", Short: "have the saved apps started at boot",
		Example: "  " + env.Program + " startup               the command that root has to run for you\n" +
			"  " + env.Program + " startup systemd-user  a unit of your own, which needs no root\n" +
			"  " + env.Program + " save                  what is started then",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStartup(cmd.Context(), env, parseBoot(cmd.Flags(), args))
		},
	}
	defineBoot(cmd.Flags())
	cmd.Flags().Bool("wait-ip", false, "start when the network has addresses (systemd)")
	return cmd
}

func defineBoot(set *pflag.FlagSet) {
	set.String("hp", "", "home directory of the user whose apps they are (--user)")
	set.String("service-name", "", "what the init system calls it")
}

func parseBoot(set *pflag.FlagSet, args []string) bootOptions {
	return bootOptions{
		platform: first(args), user: str(set, "user"), userHome: str(set, "hp"),
		service: str(set, "service-name"), online: on(set, "wait-ip"),
	}
}

func runStartup(ctx context.Context, env *Env, opts bootOptions) error {
	s, err := env.service(opts)
	if err != nil {
		return err
	}
	effects, err := s.Install()
	if err != nil {
		return err
	}
	if s.System != startup.SystemdUser && env.Machine.UID != 0 {
		return env.askForRoot("startup", &s)
	}
	env.print("Platform %s\nTarget path\n%s\nCommand list\n", s.System, s.File())
	for _, e := range effects {
		if e.Run != nil {
			env.print("  %s\n", strings.Join(e.Run, " "))
		}
	}
	if err := env.carryOut(ctx, effects); err != nil {
		return err
	}
	env.info("At boot, what `%s save` saved last is started", env.Program)
	if s.System == startup.SystemdUser {
		env.info("That is when you log in; `loginctl enable-linger %s` makes it the boot", s.User)
	}
	env.info("`%s unstartup %s` undoes this", env.Program, s.System)
	if theirs := "/etc/systemd/system/pm2-" + s.User + ".service"; s.System == startup.Systemd && theirs != s.File() && env.Machine.Exists(theirs) {
		env.warn("%s is still there, and starts PM2 at boot as well; `pm2 unstartup` of PM2 removes it", theirs)
	}
	return nil
}

// carryOut does all of effects, or what comes before the first that fails.
func (e *Env) carryOut(ctx context.Context, effects []startup.Effect) error {
	for _, effect := range effects {
		switch {
		case effect.Where != "" && !e.Machine.Exists(effect.Where):
			continue
		case effect.Write != "":
			e.info("Writing %s", effect.Write)
		case effect.Remove != "":
			e.info("Removing %s", effect.Remove)
		default:
			e.info("[-] Executing: %s", strings.Join(effect.Run, " "))
		}
		if err := e.Machine.Do(ctx, effect); err != nil {
			return err
		}
		if effect.Run != nil {
			e.info("[v] Command successfully executed")
		}
	}
	return nil
}

// service is what the machine is to start.
func (e *Env) service(opts bootOptions) (startup.Service, error) {
	system, err := e.initSystem(opts.platform)
	if err != nil {
		return startup.Service{}, err
	}
	who, err := whose(opts)
	if err != nil {
		return startup.Service{}, err
	}
	if system == startup.SystemdUser && opts.user != "" && who.Uid != fmt.Sprint(e.Machine.UID) {
		return startup.Service{}, invalid("set up", string(system), "run this as "+opts.user, errors.New("the unit belongs to the user who runs it"))
	}
	daemon, _, err := e.Binaries()
	if err != nil {
		return startup.Service{}, err
	}
	dir := e.Home
	if opts.user != "" || opts.userHome != "" {
		if dir, err = e.homeOf(who.HomeDir, e.Program); err != nil {
			return startup.Service{}, err
		}
	}
	name := opts.service
	if name == "" {
		name = e.serviceName(system, who.Username)
	}
	return startup.Service{
		System: system, Program: filepath.Join(filepath.Dir(daemon), "tend"), Home: string(dir),
		User: who.Username, UserHome: who.HomeDir, Name: name, Online: opts.online,
	}, nil
}

func (e *Env) serviceName(system startup.System, username string) string {
	name := "tend"
	if e.asPM2() {
		name = "pm2"
	}
	if system != startup.SystemdUser {
		name += "-" + username
	}
	return name
}

// initSystem is the one that is asked for, or else the one that the machine has.
func (e *Env) initSystem(platform string) (startup.System, error) {
	found, missing := startup.Detect(e.Machine.Has)
	if missing == nil {
		e.info("Init System found: %s", found)
	}
	if platform == "" {
		return found, missing
	}
	asked, err := startup.Named(platform)
	if err == nil && missing == nil && asked != found && (asked != startup.SystemdUser || found != startup.Systemd) {
		e.warn("this machine has %s, and you ask for %s", found, asked)
	}
	return asked, err
}

// whose is the user whose apps are meant.
func whose(opts bootOptions) (*user.User, error) {
	var who *user.User
	var err error
	if opts.user == "" {
		who, err = user.Current()
	} else {
		who, err = user.Lookup(opts.user)
	}
	if err != nil {
		return nil, &errs.Error{Op: "find user", On: opts.user, Kind: errs.NotFound, Err: err}
	}
	if opts.userHome != "" {
		who.HomeDir = filepath.Clean(opts.userHome)
	}
	return who, nil
}

// homeOf is where tend, called by the name of program, has its files for a user
// with this home directory.
func (e *Env) homeOf(userHome, program string) (home.Dir, error) {
	return home.Find(func(name string) string {
		if name == "HOME" {
			return userHome
		}
		return e.Getenv(name)
	}, program)
}

// askForRoot prints the command that does, as root, what this user may not.
func (e *Env) askForRoot(command string, s *startup.Service) error {
	words := []string{"sudo"}
	byDefault, err := home.Find(func(name string) string { return map[string]string{"HOME": s.UserHome}[name] }, "tend")
	if err != nil {
		return err
	}
	if string(byDefault) != s.Home {
		words = append(words, "env", "TEND_HOME="+s.Home)
	}
	words = append(words, s.Program, command, string(s.System), "-u", s.User, "--hp", s.UserHome)
	if s.Name != "tend-"+s.User {
		words = append(words, "--service-name", s.Name)
	}
	if s.Online {
		words = append(words, "--wait-ip")
	}
	for i, w := range words {
		words[i] = startup.ShellWord(w)
	}
	e.info("This takes root. Copy and run:")
	e.print("%s\n", strings.Join(words, " "))
	return errTold
}
