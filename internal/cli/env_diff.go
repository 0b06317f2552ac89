package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tend/api"
	"tend/internal/config"
	"tend/internal/errs"
	"tend/internal/redact"
)

// difference is a variable that an app and its file do not agree on; nil where
// one of them has none.
type difference struct {
	Name    string  `json:"name"`
	Running *string `json:"running"`
	File    *string `json:"file"`
}

// comparison is what --diff says of an instance.
type comparison struct {
	ID          int          `json:"id"`
	Name        string       `json:"name"`
	File        string       `json:"file"`
	EnvName     string       `json:"env_name,omitempty"`
	Differences []difference `json:"differences"`
}

// compare prints how the variables that instances were given differ from those
// that their files give now. It ends with errTold, exit code 1, where one does.
func (e *Env) compare(ctx context.Context, list []api.Instance, opts envOptions) error {
	all := make([]comparison, 0, len(list))
	differ, read := false, map[string]*api.Spec{}
	for _, in := range list {
		written, err := e.written(ctx, in, read)
		if err != nil {
			return err
		}
		spec := in.Detail.Spec
		one := comparison{in.ID, in.Name, spec.File, spec.FileEnv, differences(spec, written, opts.secrets)}
		differ = differ || len(one.Differences) > 0
		all = append(all, one)
	}
	if opts.json {
		if err := e.printJSON(all); err != nil {
			return err
		}
	} else {
		e.printComparisons(all)
	}
	if differ {
		return errTold
	}
	return nil
}

// written is what the file of an instance says of its app now; read is what was
// read for its other instances.
func (e *Env) written(ctx context.Context, in api.Instance, read map[string]*api.Spec) (*api.Spec, error) {
	spec := in.Detail.Spec
	if spec == nil || spec.File == "" {
		return nil, &errs.Error{
			Op: "compare", On: in.Name, Kind: errs.Invalid, Err: errors.New("it was not started from a configuration file"),
			Hint: "`" + e.Program + " env " + in.Name + "` prints its environment",
		}
	}
	origin := strings.Join([]string{in.Name, spec.File, spec.FileEnv, spec.Cwd}, "\x00")
	if read[origin] != nil {
		return read[origin], nil
	}
	r, err := config.Load(ctx, e.context(), spec.File, config.Options{EnvName: spec.FileEnv, Cwd: spec.Cwd})
	for i := range r.Apps {
		if r.Apps[i].Name == in.Name {
			read[origin] = &r.Apps[i]
			return read[origin], nil // another app's fault is no matter
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, &errs.Error{
		Op: "compare", On: in.Name, Kind: errs.NotFound, Err: fmt.Errorf("%s has no app of this name any more", spec.File),
		Hint: "`" + e.Program + " delete " + in.Name + "` removes it from the list",
	}
}

// differences are those between two Specs of an app, by name. Values are
// compared as they are, and told as a person may see them.
func differences(running, written *api.Spec, secrets bool) []difference {
	was, is := ownOf(running), ownOf(written)
	names := maps.Clone(was)
	maps.Copy(names, is)
	out := []difference{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, had := was[name]
		after, has := is[name]
		if before.equal(after) && had == has {
			continue
		}
		d := difference{Name: name}
		if had {
			d.Running = before.told(name, secrets)
		}
		if has {
			d.File = after.told(name, secrets)
		}
		out = append(out, d)
	}
	return out
}

// value is that of a variable, or where it is found.
type value struct {
	text string
	from *api.Secret // nil: text is the value
}

func (v value) equal(other value) bool {
	return v.text == other.text && reflect.DeepEqual(v.from, other.from)
}

func (v value) told(name string, secrets bool) *string {
	text := v.text
	switch {
	case v.from != nil:
		text = "[from " + found(*v.from, secrets) + "]"
	case !secrets:
		text = redact.Variable(name, text)
	}
	return &text
}

// ownOf are the variables that an app itself was given.
func ownOf(s *api.Spec) map[string]value {
	all := make(map[string]value, len(s.Env)+len(s.Secrets))
	for name, text := range s.Env {
		all[name] = value{text: text}
	}
	for name, from := range s.Secrets {
		all[name] = value{from: &from}
	}
	return all
}

func (e *Env) printComparisons(all []comparison) {
	for i, c := range all {
		against := c.File
		if c.EnvName != "" {
			against += " --env " + c.EnvName
		}
		head := fmt.Sprintf("%s (%d) against %s", c.Name, c.ID, against)
		e.print("%s%s\n", blankBefore(i), e.paint(styleBold, head))
		if len(c.Differences) == 0 {
			e.print("  the same\n")
		}
		for _, d := range c.Differences {
			if d.Running != nil {
				e.print("%s\n", e.paint(styleRed, "- "+d.Name+": "+*d.Running))
			}
			if d.File != nil {
				e.print("%s\n", e.paint(styleGreen, "+ "+d.Name+": "+*d.File))
			}
		}
	}
}
