// Package startup makes the init system of a machine start tend at boot. It
// decides purely what is to be done: which file, with which text, and which
// commands; Machine does it, and can do it below another root directory.
//
// No text holds the path of a version of node, or of anything that an app
// needs: apps are found again by what was saved of them.
package startup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"tend/internal/errs"
)

// System is an init system, by PM2's name for it.
type System string

// The init systems.
const (
	Systemd     System = "systemd"
	SystemdUser System = "systemd-user" // the manager of one user; nobody needs to be root
	Upstart     System = "upstart"
	SystemV     System = "systemv"
	OpenRC      System = "openrc"
	Launchd     System = "launchd"
	RCD         System = "rcd"
	RCDOpenBSD  System = "rcd-openbsd"
	SMF         System = "smf"
)

// tools tell init systems apart, in the order in which they are looked for.
var tools = []struct { //nolint:gochecknoglobals // a table, never written
	program string
	system  System
}{
	{"systemctl", Systemd},
	{"update-rc.d", Upstart},
	{"chkconfig", SystemV},
	{"rc-update", OpenRC},
	{"launchctl", Launchd},
	{"sysrc", RCD},
	{"rcctl", RCDOpenBSD},
	{"svcadm", SMF},
}

// systems are the init systems by every name that PM2 knows them by.
var systems = map[string]System{ //nolint:gochecknoglobals // a table, never written
	"systemd": Systemd, "ubuntu": Systemd, "centos": Systemd, "arch": Systemd, "oracle": Systemd,
	"systemd-user": SystemdUser,
	"upstart":      Upstart, "ubuntu14": Upstart, "ubuntu12": Upstart,
	"systemv": SystemV, "amazon": SystemV, "centos6": SystemV,
	"openrc": OpenRC, "gentoo": OpenRC, "alpine": OpenRC,
	"launchd": Launchd, "macos": Launchd, "darwin": Launchd,
	"rcd": RCD, "freebsd": RCD,
	"rcd-openbsd": RCDOpenBSD, "openbsd": RCDOpenBSD,
	"smf": SMF, "sunos": SMF, "solaris": SMF,
}

// Platforms are the names of the init systems, one each.
func Platforms() []string {
	out := []string{string(SystemdUser)}
	for _, t := range tools {
		out = append(out, string(t.system))
	}
	return out
}

// Named is the init system of this name.
func Named(platform string) (System, error) {
	if s, ok := systems[strings.ToLower(platform)]; ok {
		return s, nil
	}
	return "", &errs.Error{
		Op: "find platform", On: platform, Kind: errs.Invalid, Err: errors.New("no such init system is known"),
		Hint: "one of " + strings.Join(Platforms(), ", "),
	}
}

// Detect is the init system of a machine that has programs in its PATH.
func Detect(has func(program string) bool) (System, error) {
	for _, t := range tools {
		if has(t.program) {
			return t.system, nil
		}
	}
	return "", &errs.Error{
		Op: "find", On: "the init system", Kind: errs.NotFound, Err: errors.New("none of those that are known is in PATH"),
		Hint: "name it: " + strings.Join(Platforms(), ", "),
	}
}

// Service is what is started at boot.
type Service struct {
	System   System
	Program  string // the absolute path of tend
	Home     string // where its files are
	User     string // whose apps they are
	UserHome string // the home directory of User
	Name     string // what the init system calls it
	Online   bool   // start only when the network has addresses (systemd)
}

// Effect is one thing that is done to a machine: exactly one of Write, Remove and
// Run.
type Effect struct {
	Write  string // the file of this path is written
	Mode   fs.FileMode
	Text   string
	Remove string   // the file of this path is removed
	Run    []string // this program is run, and has to succeed
	Where  string   // nothing is done where no file of this path is; "" for everywhere
}

var (
	userName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)
	serviceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

// check refuses what could not stand in a file, or would become another line.
func (s *Service) check() error {
	bad := func(on, value, rule string) error {
		return &errs.Error{Op: "read", On: on, Kind: errs.Invalid, Err: fmt.Errorf("%q %s", value, rule)}
	}
	const plain = "holds more than letters, digits, dots, dashes and underscores"
	if !userName.MatchString(s.User) {
		return bad("the user's name", s.User, plain)
	}
	if !serviceName.MatchString(s.Name) {
		return bad("--service-name", s.Name, plain)
	}
	for on, path := range map[string]string{"the path of tend": s.Program, "the home": s.Home, "the user's home": s.UserHome} {
		switch {
		case !filepath.IsAbs(path):
			return bad(on, path, "is no absolute path")
		case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
			return bad(on, path, "holds characters that no such file can")
		}
	}
	return nil
}

// identifier is the name for systems that make variables of it.
func (s *Service) identifier() string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' {
			return '_'
		}
		return r
	}, s.Name)
}

// File is the path of the file that makes the init system know the service.
func (s *Service) File() string {
	switch s.System {
	case Systemd:
		return "/etc/systemd/system/" + s.Name + ".service"
	case SystemdUser:
		return filepath.Join(s.UserHome, ".config/systemd/user", s.Name+".service")
	case Upstart, SystemV, OpenRC:
		return "/etc/init.d/" + s.Name
	case Launchd:
		return "/Library/LaunchDaemons/" + s.Name + ".plist"
	case RCD:
		return "/usr/local/etc/rc.d/" + s.identifier()
	case RCDOpenBSD:
		return "/etc/rc.d/" + s.identifier()
	case SMF:
		return "/var/svc/manifest/site/" + s.Name + ".xml"
	}
	return ""
}

// Install is what makes the machine start the service at boot. Nothing is
// started now, but by launchd and SMF: to them it is the same.
func (s *Service) Install() ([]Effect, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o755)
	switch s.System {
	case Systemd, SystemdUser, Launchd, SMF:
		mode = 0o644
	case Upstart, SystemV, OpenRC, RCD, RCDOpenBSD: // scripts
	}
	return append([]Effect{{Write: s.File(), Mode: mode, Text: text}}, s.enable()...), nil
}

func (s *Service) enable() []Effect {
	switch s.System {
	case Systemd:
		return runs("systemctl enable " + s.Name + ".service") // it reloads the manager too, where one runs
	case SystemdUser:
		return runs("systemctl --user enable " + s.Name + ".service")
	case Upstart:
		return runs("update-rc.d " + s.Name + " defaults")
	case SystemV:
		return runs("chkconfig --add "+s.Name, "chkconfig "+s.Name+" on")
	case OpenRC:
		return runs("rc-update add " + s.Name + " default")
	case Launchd:
		return runs("launchctl bootstrap system " + s.File())
	case RCD:
		return runs("sysrc " + s.identifier() + "_enable=YES")
	case RCDOpenBSD:
		return runs("rcctl enable " + s.identifier())
	case SMF:
		return runs("svccfg import "+s.File(), "svcadm enable "+s.Name)
	}
	return nil
}

// Uninstall undoes Install. Apps that run go on, but for SMF.
func (s *Service) Uninstall() ([]Effect, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	remove := []Effect{{Remove: s.File()}}
	switch s.System {
	case Systemd:
		return join(runs("systemctl disable "+s.Name+".service"), remove, reread("systemctl daemon-reload")), nil
	case SystemdUser:
		return join(runs("systemctl --user disable "+s.Name+".service"), remove, reread("systemctl --user daemon-reload")), nil
	case Upstart: // it wants the file to be gone
		return join(remove, runs("update-rc.d "+s.Name+" remove")), nil
	case SystemV:
		return join(runs("chkconfig --del "+s.Name), remove), nil
	case OpenRC:
		return join(runs("rc-update del "+s.Name+" default"), remove), nil
	case Launchd:
		return join(runs("launchctl bootout system "+s.File()), remove), nil
	case RCD:
		return join(runs("sysrc -x "+s.identifier()+"_enable"), remove), nil
	case RCDOpenBSD:
		return join(runs("rcctl disable "+s.identifier()), remove), nil
	case SMF:
		return join(runs("svcadm disable "+s.Name, "svccfg delete -f "+s.Name), remove), nil
	}
	return nil, nil
}

// runs are commands whose words hold no blanks: names and paths of ours.
func runs(lines ...string) []Effect {
	out := make([]Effect, 0, len(lines))
	for _, l := range lines {
		out = append(out, Effect{Run: strings.Fields(l)})
	}
	return out
}

// reread is a command for a systemd that runs, as sd_booted(3) has it: there is
// none in a chroot, nor where an image is made.
func reread(line string) []Effect {
	return []Effect{{Run: strings.Fields(line), Where: "/run/systemd/system"}}
}

func join(parts ...[]Effect) []Effect {
	var out []Effect
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
