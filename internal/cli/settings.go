package cli

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
	"tend/internal/settings"
)

// changeSettings changes what is set for the home, and prints what is set then
// in the sections that were changed.
func (e *Env) changeSettings(ctx context.Context, req api.SettingsRequest) error {
	return e.with(ctx, func(c *client.Client) error {
		now, err := c.ChangeSettings(ctx, req)
		if err != nil {
			return err
		}
		e.info("Setting changed")
		for _, note := range now.Notes {
			e.warn("%s", note)
		}
		shown := map[string]bool{}
		for _, one := range req.Set {
			section, _ := settings.Section(one.Key)
			if values, isSection := now.Values[section].(map[string]any); isSection && !shown[section] {
				shown[section] = true
				e.printSection(settings.Quote(section), values)
			}
		}
		return nil
	})
}

// showSettings prints what is set under a key: a value, a section, or with "" or
// "all" everything, as the commands that would set it.
func (e *Env) showSettings(ctx context.Context, key string, json bool) error {
	return e.with(ctx, func(c *client.Client) error {
		now, err := c.Settings(ctx)
		if err != nil {
			return err
		}
		everything := key == "" || key == "all"
		var v any = now.Values
		found := true
		if !everything {
			v, found = settings.Tree(now.Values).Get(key)
		}
		section, isSection := v.(map[string]any)
		switch {
		case !found:
			return &errs.Error{
				Op: "get", On: key, Kind: errs.NotFound, Err: errors.New("nothing is set under this key"),
				Hint: "`" + e.Program + " conf` shows what is set",
			}
		case json:
			return e.printJSON(v)
		case everything:
			e.printSettings(section)
		case isSection:
			e.printSection(key, section)
			e.print("\nTo change one: %s set %s:KEY VALUE\n", e.Program, key)
		default:
			e.printValue(key, v)
		}
		return nil
	})
}

func (e *Env) printValue(key string, v any) {
	text := e.paint(styleGreen, settingText(v))
	if section, name := settings.Section(key); section != "" {
		e.print("Value for module %s key %s: %s\n", section, name, text)
	} else {
		e.print("Value for key %s: %s\n", name, text)
	}
}

// printSettings prints values and then sections, by name.
func (e *Env) printSettings(values map[string]any) {
	names := slices.Sorted(maps.Keys(values))
	for _, name := range names {
		if _, isSection := values[name].(map[string]any); !isSection {
			e.printSetting(settings.Quote(name), values[name])
		}
	}
	for _, name := range names {
		if section, isSection := values[name].(map[string]any); isSection {
			e.printSection(settings.Quote(name), section)
		}
	}
}

func (e *Env) printSection(key string, values map[string]any) {
	e.print("%s %s\n", e.paint(styleBold, "Module:"), e.paint(styleBlue, key))
	e.printInside(key, values)
}

func (e *Env) printInside(key string, values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		inner := key + ":" + settings.Quote(name)
		if section, isSection := values[name].(map[string]any); isSection {
			e.printInside(inner, section)
			continue
		}
		e.printSetting(inner, values[name])
	}
}

// printSetting prints the command that sets a value.
func (e *Env) printSetting(key string, v any) {
	e.print("$ %s set %s %s\n", e.Program, shellWord(key), e.paint(styleGreen, shellWord(settingText(v))))
}

// settingText is a value as a person would type it.
func settingText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v) // it was read from JSON
	return string(text)
}

// shellWord is s as one word of a shell.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
