package app

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tend/api"
)

// template is all that may be one: {{name}}, with a backslash before it the text
// itself; and Supervisor's %(name)s and %(name)02d, with another % before it the
// same.
var template = regexp.MustCompile(`(\\?)\{\{([A-Za-z_]\w*(?:\.\w+)?)\}\}|(%?)%\(([A-Za-z_]\w*)\)(0?\d?)([ds])`)

// The submatches of template.
const (
	whole = iota
	backslash
	own
	percent
	supervisors
	width
	verb
)

// ofSupervisor are its names for what ours stand for. Any other %(name)s is left
// as it is: formats of Python's logging look the same.
var ofSupervisor = map[string]string{ //nolint:gochecknoglobals // a table, never written
	"process_num": "instance", "program_name": "name", "group_name": "namespace", "numprocs": "instances",
	"host_node_name": "hostname", "here": "cwd",
}

const (
	envPrefix           = "env."
	supervisorEnvPrefix = "ENV_"
)

// templateNames are the names that stand in {{ }}, beside env.NAME; numbers
// among them may be %(name)d.
var templateNames = []string{"instance", "id", "instances", "name", "namespace", "cwd", "here", "hostname"} //nolint:gochecknoglobals // a table, never written

var templateNumbers = templateNames[:3] //nolint:gochecknoglobals // a table, never written

// nameIn is what the template m of text stands for, "" where it is no template
// but text.
func nameIn(m []string) string {
	switch {
	case strings.HasPrefix(m[own], envPrefix), slices.Contains(templateNames, m[own]):
		return m[own]
	case strings.HasPrefix(m[supervisors], supervisorEnvPrefix):
		return envPrefix + strings.TrimPrefix(m[supervisors], supervisorEnvPrefix)
	}
	return ofSupervisor[m[supervisors]]
}

// mayHold is a quick no for most texts.
func mayHold(text string) bool { return strings.Contains(text, "{{") || strings.Contains(text, "%(") }

// fill is text with its templates filled in by value.
func fill(text string, value func(name string) string) string {
	if !mayHold(text) {
		return text
	}
	return replaceAll(text, func(m []string) string {
		name := nameIn(m)
		switch {
		case m[backslash] != "", m[percent] != "" && name != "":
			return m[whole][1:]
		case name == "":
			return m[whole]
		case m[verb] != "d":
			return value(name)
		}
		n, _ := strconv.Atoi(value(name)) // checked
		return fmt.Sprintf("%"+m[width]+"d", n)
	})
}

func replaceAll(text string, by func(m []string) string) string {
	var b strings.Builder
	end := 0
	for _, at := range template.FindAllStringSubmatchIndex(text, -1) {
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = text[at[2*i]:at[2*i+1]]
			}
		}
		b.WriteString(text[end:at[0]])
		b.WriteString(by(m))
		end = at[1]
	}
	return b.String() + text[end:]
}

// Names are what the templates in text stand for, in their order.
func Names(text string) (names []string) {
	if !mayHold(text) {
		return nil
	}
	for _, m := range template.FindAllStringSubmatch(text, -1) {
		if name := nameIn(m); name != "" && m[backslash]+m[percent] == "" {
			names = append(names, name)
		}
	}
	return names
}

// checkTemplates says what is wrong with the templates in text.
func checkTemplates(text string) error {
	if !mayHold(text) {
		return nil
	}
	for _, m := range template.FindAllStringSubmatch(text, -1) {
		name := nameIn(m)
		switch {
		case m[backslash]+m[percent] != "":
		case name == "" && m[own] != "":
			return fmt.Errorf(`%s is no template; there are {{%s}} and {{env.NAME}}, and \%s is the text itself`,
				m[whole], strings.Join(templateNames, "}}, {{"), m[whole])
		case name != "" && m[verb] == "d" && !slices.Contains(templateNumbers, name):
			return fmt.Errorf("%s is no number; write it with an s at its end", m[whole])
		}
	}
	return nil
}

// Varies tells whether text is another for each instance of an app.
func Varies(text string) bool {
	return slices.ContainsFunc(Names(text), func(name string) bool { return name == "instance" || name == "id" })
}

// IsCommandLine tells whether the script of s is text for a shell and no file.
func IsCommandLine(s *api.Spec) bool {
	n := len(s.InterpreterArgs)
	return s.Interpreter != "" && n > 0 && s.InterpreterArgs[n-1] == "-c"
}

// Literal takes what looks like a template in s as the text that it is: s comes
// from where there are none.
func Literal(s *api.Spec) {
	if IsCommandLine(s) {
		s.Script = literal(s.Script)
	}
	s.InterpreterArgs, s.Args = each(s.InterpreterArgs, literal), each(s.Args, literal)
	for _, p := range []*string{&s.Cwd, &s.Log.Out, &s.Log.Err, &s.Log.Combined, &s.Log.Pid} {
		*p = literal(*p)
	}
}

// literal is how text is written where templates are filled in.
func literal(text string) string {
	if !mayHold(text) {
		return text
	}
	return replaceAll(text, func(m []string) string {
		switch {
		case m[own] != "":
			return `\` + m[whole]
		case nameIn(m) != "":
			return "%" + m[whole]
		}
		return m[whole]
	})
}

// templated calls f with every text of s that may hold templates, and what it is.
func templated(s *api.Spec, f func(field, text string)) {
	f("cwd", s.Cwd)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		f("env: "+name, s.Env[name])
	}
	if IsCommandLine(s) {
		f("script", s.Script)
	}
	for _, a := range s.InterpreterArgs {
		f("node_args", a)
	}
	for _, a := range s.Args {
		f("args", a)
	}
	f("out_file", s.Log.Out)
	f("error_file", s.Log.Err)
	f("log_file", s.Log.Combined)
	f("pid_file", s.Log.Pid)
}

// checkAllTemplates says what is wrong with the templates of s.
func checkAllTemplates(s *api.Spec) (all []error) {
	templated(s, func(field, text string) {
		err := checkTemplates(text)
		if field == "cwd" && err == nil && slices.ContainsFunc(Names(text), func(n string) bool { return n == "cwd" || n == "here" }) {
			err = errors.New("it cannot stand for itself")
		}
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", field, err))
		}
	})
	return all
}

// Variables are the names of the variables that the templates of s stand for.
func Variables(s *api.Spec) (names []string) {
	templated(s, func(_, text string) {
		for _, n := range Names(text) {
			if v, ok := strings.CutPrefix(n, envPrefix); ok && !slices.Contains(names, v) {
				names = append(names, v)
			}
		}
	})
	return names
}

// Filled is s as an instance is told of it: with its templates filled in. A
// variable that stands in another's value stands there as it was written, and in
// any other place as the process gets it; one that is not there is empty.
func Filled(s *api.Spec, inherited map[string]string, l Launch) *api.Spec {
	plain := true
	templated(s, func(_, text string) { plain = plain && !mayHold(text) })
	if plain {
		return s
	}
	out := *s
	of := map[string]string{
		"instance": strconv.Itoa(number(s, l)), "id": strconv.Itoa(l.ID), "instances": strconv.Itoa(l.Instances),
		"name": s.Name, "namespace": s.Namespace, "hostname": l.Host,
	}
	filler := func(env func(name string) string) func(string) string {
		return func(text string) string {
			return fill(text, func(name string) string {
				if v, ok := strings.CutPrefix(name, envPrefix); ok {
					return env(v)
				}
				return of[name]
			})
		}
	}
	written := Merged(s, inherited)
	out.Cwd = filler(func(v string) string { return written[v] })(s.Cwd)
	of["cwd"], of["here"] = out.Cwd, out.Cwd
	if s.Env != nil {
		out.Env = make(map[string]string, len(s.Env))
	}
	for name, text := range s.Env {
		out.Env[name] = filler(func(v string) string {
			if v == name { // PATH: "{{env.PATH}}:/opt/bin"
				return Merged(&api.Spec{FilterEnv: s.FilterEnv}, inherited)[v]
			}
			return written[v]
		})(text)
	}
	env := Merged(&out, inherited)
	maps.Copy(env, counted(env, s, l))
	f := filler(func(v string) string { return env[v] })
	if IsCommandLine(s) {
		out.Script = f(s.Script)
	}
	out.InterpreterArgs, out.Args = each(s.InterpreterArgs, f), each(s.Args, f)
	for _, p := range []*string{&out.Log.Out, &out.Log.Err, &out.Log.Combined, &out.Log.Pid} {
		*p = f(*p)
	}
	return &out
}

func each(list []string, f func(string) string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = f(out[i])
	}
	return out
}

// number is what an instance is told as its own.
func number(s *api.Spec, l Launch) int { return s.InstanceStart + l.Index }

// counted are the variables that differ from one instance to the next, out of
// the environment that they share.
func counted(env map[string]string, s *api.Spec, l Launch) map[string]string {
	out := map[string]string{}
	if s.IncrementVar != "" {
		base, _ := strconv.Atoi(env[s.IncrementVar]) // absent or not a number counts from 0, as in PM2
		out[s.IncrementVar] = strconv.Itoa(base + l.Index)
	}
	if s.InstanceVar != "" {
		out[s.InstanceVar] = strconv.Itoa(number(s, l))
	}
	return out
}
