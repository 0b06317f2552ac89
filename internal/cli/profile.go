package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tend/api"
	"tend/client"
)

// profileOptions are what a profile is asked for.
type profileOptions struct {
	kind   string
	suffix string // of its file's name
	during time.Duration
	force  bool // over a file of the same second
}

// profileTime is how long a profile of the processor is taken, when nothing
// else is asked for.
const profileTime = 10 * time.Second

func newProfileCPU(env *Env) *cobra.Command {
	return newProfile(env, api.ProfileCPU, "cpuprofile", "what the daemon spends its time on, for go tool pprof", profileTime)
}

func newProfileMem(env *Env) *cobra.Command {
	return newProfile(env, api.ProfileMemory, "heapprofile", "what the daemon keeps in memory, for go tool pprof", 0)
}

func newProfile(env *Env, kind, suffix, short string, usual time.Duration) *cobra.Command {
	return &cobra.Command{
		Use: "profile:" + kind + " [ms]", Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			during := usual
			if len(args) > 0 {
				ms, err := strconv.Atoi(args[0])
				if err != nil || ms < 1 || ms > api.MaxProfile {
					return invalid("read time", args[0], "5000 is five seconds", fmt.Errorf("it is not a number of milliseconds, from 1 to %d", api.MaxProfile))
				}
				during = time.Duration(ms) * time.Millisecond
			}
			return runProfile(cmd.Context(), env, profileOptions{kind, suffix, during, on(cmd.Flags(), "force")})
		},
	}
}

func runProfile(ctx context.Context, env *Env, opts profileOptions) error {
	path := filepath.Join(env.Cwd, time.Now().Format("02-15:04:05")+"."+opts.suffix+".pb.gz")
	return env.with(ctx, func(c *client.Client) error {
		if opts.during > 0 {
			env.info("Profiling the daemon for %s", opts.during)
		}
		text, err := c.Profile(ctx, opts.kind, opts.during)
		if err != nil {
			return err
		}
		if err := writeNew(path, text, opts.force); err != nil {
			return err
		}
		env.info("Profile done in %s", path)
		return nil
	})
}
