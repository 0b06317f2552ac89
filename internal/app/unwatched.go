package app

import (
	"maps"

	"tend/api"
)

// What is kept in Extra of a Spec while nothing is watched, for the day that
// it is again.
const (
	extraPaths   = "watch_paths"
	extraIgnore  = "ignore_watch"
	extraDelay   = "watch_delay"
	extraOptions = "watch_options"
)

// Unwatched is s without its Watch, which is kept for WatchedAgain.
func Unwatched(s *api.Spec) *api.Spec {
	if s.Watch == nil {
		return s
	}
	out := *s
	out.Watch, out.Extra = nil, maps.Clone(s.Extra)
	if out.Extra == nil {
		out.Extra = map[string]any{}
	}
	out.Extra[extraPaths] = s.Watch.Paths
	if s.Watch.Ignore != nil {
		out.Extra[extraIgnore] = s.Watch.Ignore
	}
	if s.Watch.Delay != 0 {
		out.Extra[extraDelay] = s.Watch.Delay
	}
	if s.Watch.Options != nil {
		out.Extra[extraOptions] = s.Watch.Options
	}
	return &out
}

// WatchedAgain is s with a Watch: that of before, or of its directory.
func WatchedAgain(s *api.Spec) *api.Spec {
	if s.Watch != nil {
		return s
	}
	out := *s
	out.Watch, out.Extra = &api.Watch{}, maps.Clone(s.Extra)
	w := out.Watch
	w.Paths, _ = textList(s.Extra[extraPaths])
	w.Ignore, _ = textList(s.Extra[extraIgnore])
	w.Options, _ = s.Extra[extraOptions].(map[string]any)
	if ms, ok := wholeNumber(s.Extra[extraDelay]); ok {
		w.Delay = int64(ms)
	}
	if len(w.Paths) == 0 {
		w.Paths = []string{s.Cwd}
	}
	for _, name := range []string{extraPaths, extraIgnore, extraDelay, extraOptions} {
		delete(out.Extra, name)
	}
	if len(out.Extra) == 0 {
		out.Extra = nil
	}
	return &out
}
