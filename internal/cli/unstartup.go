package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tend/internal/errs"
	"tend/internal/startup"
)

func newUnstartup(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unstartup [platform]", Short: "have nothing started at boot any more; apps run on",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUnstartup(cmd.Context(), env, parseBoot(cmd.Flags(), args))
		},
	}
	defineBoot(cmd.Flags())
	return cmd
}

func runUnstartup(ctx context.Context, env *Env, opts bootOptions) error {
	s, err := env.service(opts)
	if err != nil {
		return err
	}
	effects, err := s.Uninstall()
	if err != nil {
		return err
	}
	if !env.Machine.Exists(s.File()) {
		return &errs.Error{
			Op: "remove", On: s.File(), Kind: errs.NotFound, Err: errors.New("it is not there: nothing was set up under this name"),
			Hint: "-u USER and --service-name NAME say which service is meant",
		}
	}
	if s.System != startup.SystemdUser && env.Machine.UID != 0 {
		return env.askForRoot("unstartup", &s)
	}
	if err := env.carryOut(ctx, effects); err != nil {
		return err
	}
	env.info("Init file disabled.")
	return nil
}
