package cli

import (
	"context"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tend/internal/errs"
	"tend/internal/startup"
)

func newLogrotate(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "logrotate", Short: "have the machine's logrotate rotate the logs, in place of tend",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLogrotate(cmd.Context(), env, bootOptions{user: str(cmd.Flags(), "user"), userHome: str(cmd.Flags(), "hp")})
		},
	}
	cmd.Flags().String("hp", "", "home directory of the user whose logs they are (--user)")
	return cmd
}

func runLogrotate(ctx context.Context, env *Env, opts bootOptions) error {
	who, err := whose(opts)
	if err != nil {
		return err
	}
	dir := env.Home
	if opts.user != "" || opts.userHome != "" {
		if dir, err = env.homeOf(who.HomeDir, env.Program); err != nil {
			return err
		}
	}
	group := who.Gid
	if g, err := user.LookupGroupId(who.Gid); err == nil {
		group = g.Name
	}
	env.warn("The daemon rotates logs by itself; `%s set pm2-logrotate:max_size 0` leaves it to logrotate", env.Program)
	if env.Machine.UID != 0 {
		daemon, _, err := env.Binaries()
		if err != nil {
			return err
		}
		env.info("This takes root. Copy and run:")
		env.print("sudo env TEND_HOME=%s %s logrotate -u %s --hp %s\n", startup.ShellWord(string(dir)),
			startup.ShellWord(filepath.Join(filepath.Dir(daemon), "tend")), startup.ShellWord(who.Username), startup.ShellWord(who.HomeDir))
		return errTold
	}
	text, err := logrotateText(dir.Logs(), who.Username, group)
	if err != nil {
		return err
	}
	return env.carryOut(ctx, []startup.Effect{
		{Write: "/etc/logrotate.d/" + env.serviceName("", who.Username), Mode: 0o644, Text: text},
	})
}

// logrotateText is logrotate's file for the logs in dir. The daemon goes on
// writing where it wrote, so that a file is copied and then emptied; and dir
// is writable for its user, so that logrotate must work as that user.
func logrotateText(dir, username, group string) (string, error) {
	if strings.ContainsAny(dir+username+group, "\"\n*?[]{}") {
		return "", &errs.Error{Op: "read", On: dir, Kind: errs.Invalid, Err: fmt.Errorf("logrotate cannot read such a path or name")}
	}
	return fmt.Sprintf(`"%s/"*.log {
	su %s %s
	weekly
	rotate 12
	missingok
	notifempty
	compress
	delaycompress
	copytruncate
}
`, dir, username, group), nil
}
