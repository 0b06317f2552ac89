package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"tend/internal/errs"
)

// gone are commands of PM2 that tend leaves out for good: they are about a
// service that one pays for, or changed PM2's own installation.
var gone = []string{ //nolint:gochecknoglobals // a table, never written
	"link", "unlink", "open", "plus", "register", "login", "logout",
	"install-otel", "uninstall-otel", "autoinstall",
}

// later are commands of PM2 that tend does not have yet, and what does the
// work until it has.
var later = []struct{ name, meanwhile string }{ //nolint:gochecknoglobals // a table, never written
	{"deploy", "fetch the sources by hand and `reload` the app"},
	{"serve", "start any web server as an app: npx serve, or python3 -m http.server"},
	{"expose", "start any web server as an app: npx serve, or python3 -m http.server"},
	{"install", "modules of PM2 do not run here; logs are rotated without one"},
	{"module:install", "modules of PM2 do not run here; logs are rotated without one"},
	{"uninstall", "modules of PM2 do not run here"},
	{"module:uninstall", "modules of PM2 do not run here"},
	{"module:update", "modules of PM2 do not run here"},
	{"module:generate", "modules of PM2 do not run here"},
	{"publish", "modules of PM2 do not run here"},
	{"module:publish", "modules of PM2 do not run here"},
	{"package", "modules of PM2 do not run here"},
	{"pull", "`git pull` in the app's directory, then `reload`"},
	{"forward", "`git checkout` in the app's directory, then `reload`"},
	{"backward", "`git checkout` in the app's directory, then `reload`"},
	{"monit", "`tend ls` shows what runs, `tend logs` what it writes"},
	{"dashboard", "`tend ls` shows what runs, `tend logs` what it writes"},
	{"dash", "`tend ls` shows what runs, `tend logs` what it writes"},
	{"imonit", "`tend ls` shows what runs, `tend logs` what it writes"},
}

// Why a command is not here. It is tend that lacks it, also where it is called pm2.
const (
	absentForGood = "tend leaves it out for good: it is about PM2's paid service, or about PM2's own installation"
	absentYet     = "tend does not have it yet"
)

// newAbsent are the commands that say why there are none. They take anything
// and connect to nobody.
func newAbsent() []*cobra.Command {
	var out []*cobra.Command
	absent := func(name, hint, why string) {
		out = append(out, &cobra.Command{
			Use: name, Short: why, Hidden: true, FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
			RunE: func(*cobra.Command, []string) error {
				return &errs.Error{Op: "run", On: name, Kind: errs.Invalid, Err: errors.New(why), Hint: hint}
			},
		})
	}
	for _, name := range gone {
		absent(name, "", absentForGood)
	}
	for _, c := range later {
		absent(c.name, c.meanwhile, absentYet)
	}
	return out
}
