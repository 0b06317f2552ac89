package startup

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// standardPath is the PATH of the manager. Apps have their own, which was saved
// with them.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// text is the text of the service's file.
func (s *Service) text() (string, error) {
	name := string(s.System)
	switch s.System {
	case SystemdUser:
		name = string(Systemd)
	case Upstart, SystemV:
		name = "lsb"
	case Systemd, OpenRC, Launchd, RCD, RCDOpenBSD, SMF:
	}
	t, err := template.New(name).Funcs(template.FuncMap{
		"sh": ShellWord, "unit": unitWord, "exec": execWord, "xml": xmlText,
	}).ParseFS(templates, "templates/"+name+".tmpl")
	if err != nil {
		return "", fmt.Errorf("read the template of %s: %w", name, err)
	}
	var b strings.Builder
	err = t.ExecuteTemplate(&b, name+".tmpl", struct {
		*Service

		Identifier, Path string
		Own              bool // the init system is the user's own
	}{s, s.identifier(), standardPath, s.System == SystemdUser})
	if err != nil {
		return "", fmt.Errorf("fill the template of %s: %w", name, err)
	}
	return b.String(), nil
}

// ShellWord is v as one word of a POSIX shell.
func ShellWord(v string) string {
	plain := strings.IndexFunc(v, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+-", r)
	}) < 0
	if plain && v != "" {
		return v
	}
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}

// unitWord is v as one word of a value in a unit of systemd: quoted as
// systemd.syntax(7) has it, with no specifier in it (systemd.unit(5)).
func unitWord(v string) string {
	v = strings.ReplaceAll(v, "%", "%%")
	if !strings.ContainsAny(v, " '\"\\;") {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// execWord is v as one word of a command line of systemd, where "$" begins a
// variable (systemd.service(5)).
func execWord(v string) string { return unitWord(strings.ReplaceAll(v, "$", "$$")) }

func xmlText(v string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(v)
}
