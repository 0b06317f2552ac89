package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"tend/internal/durable"
	"tend/internal/errs"
	"tend/internal/home"
	"tend/internal/pm2env"
)

// listMode closes lists to others: they hold the environment of apps.
const listMode = 0o600

// SaveList writes the list that resurrect reads, in PM2's format, and keeps
// the one before it as a backup. One that cannot be read is no backup: it is kept
// aside, for somebody may mend it.
func SaveList(h home.Dir, list []pm2env.Saved) error {
	if old, err := os.ReadFile(h.Dump()); err == nil && len(old) > 0 {
		if _, err := pm2env.DecodeDump(old); err != nil {
			if _, err := durable.SetAside(h.Dump()); err != nil {
				return saveError(h.Dump(), err)
			}
		} else if err := durable.WriteFile(h.DumpBackup(), old, listMode); err != nil {
			return saveError(h.DumpBackup(), err)
		}
	}
	if err := durable.WriteFile(h.Dump(), pm2env.EncodeDump(list), listMode); err != nil {
		return saveError(h.Dump(), err)
	}
	return nil
}

// KeepList writes the list as it is when everything is ended on purpose, for
// those who never saved one.
func KeepList(h home.Dir, list []pm2env.Saved) error {
	if err := durable.WriteFile(h.LastList(), pm2env.EncodeDump(list), listMode); err != nil {
		return saveError(h.LastList(), err)
	}
	return nil
}

func saveError(path string, err error) error {
	return &errs.Error{
		Op: "save the list to", On: path, Kind: errs.Full, Err: err,
		Hint: "the list that was saved before is still there",
	}
}

// LoadList reads the saved list: the last save, its backup where that cannot
// be read, else the list as it was at the last kill. A file that cannot be
// read is kept aside under another name. path is what was read; "" with no
// error: nothing was ever saved.
func LoadList(h home.Dir, log *slog.Logger) (dump pm2env.Dump, path string, err error) {
	var broken []error
	for _, path := range []string{h.Dump(), h.DumpBackup(), h.LastList()} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			dump, err = pm2env.DecodeDump(text)
		}
		if err == nil {
			return dump, path, nil
		}
		aside, asideErr := durable.SetAside(path)
		log.Error("a saved list cannot be read; it is kept aside", "path", path, "aside", aside, "err", errors.Join(err, asideErr))
		broken = append(broken, fmt.Errorf("%s (kept aside as %s): %w", path, aside, err))
	}
	if len(broken) == 0 {
		return pm2env.Dump{}, "", nil
	}
	return pm2env.Dump{}, "", &errs.Error{
		Op: "read", On: "the saved list", Kind: errs.Invalid, Err: errors.Join(broken...),
		Hint: "mend the file that was kept aside and give it its name back",
	}
}
