// Package app is what a user wants of one app: the defaults of a Spec, its
// rules, the files and the environment of its instances, and how a person
// points at instances. It is pure: no I/O, no goroutine, no clock.
package app

import (
	"tend/api"
)

// The defaults of PM2 (pm2-surface 2.3), and of what PM2 does not have, in
// milliseconds.
const (
	defaultKillTimeout   = 1600
	defaultListenTimeout = 3000
	defaultDrainTimeout  = 5000
	defaultMinUptime     = 1000
	defaultMaxRestarts   = 16
)

// defaultPriority is that of an app that has none of its own, as Supervisor has
// it.
const defaultPriority = 999

// Priority orders the apps of one command: the lowest starts first, and stops
// last.
func Priority(s *api.Spec) int {
	if s.Priority == nil {
		return defaultPriority
	}
	return *s.Priority
}

// Default is a Spec with every default that does not depend on the app.
func Default() api.Spec {
	return api.Spec{
		Namespace:     "default",
		Instances:     1,
		Mode:          api.Fork,
		InstanceVar:   "NODE_APP_INSTANCE",
		Autostart:     true,
		Autorestart:   true,
		MaxRestarts:   defaultMaxRestarts,
		MinUptime:     defaultMinUptime,
		StopSignal:    "SIGINT",
		KillTimeout:   defaultKillTimeout,
		ListenTimeout: defaultListenTimeout,
		DrainTimeout:  defaultDrainTimeout,
		TreeKill:      true,
	}
}
