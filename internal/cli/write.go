package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"tend/internal/config"
	"tend/internal/errs"
)

// writeDefinition writes f, an app as the command line gave it, to a file that
// starts it again, where PM2 has it: NAME-pm2.json in the current directory. It
// is its owner's alone, for arguments may be secrets.
func (e *Env) writeDefinition(name string, f config.Fields, o config.Options) error {
	f = maps.Clone(f)
	f["name"], f["cwd"] = name, cmp.Or(o.Cwd, e.Cwd)
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	path := filepath.Join(e.Cwd, strings.ReplaceAll(name, "/", "-")+"-pm2.json")
	err := enc.Encode(map[string]any{"apps": []config.Fields{f}})
	if err == nil {
		err = os.WriteFile(path, text.Bytes(), 0o600)
	}
	if err != nil {
		return &errs.Error{Op: "write", On: path, Kind: errs.Internal, Err: err}
	}
	e.info("%s starts it again", path)
	return nil
}
