package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// The names of those that are compared in cluster mode.
const (
	tendRoundRobin = "tend round-robin"
	tendShared     = "tend shared"
	tendReuseport  = "tend reuseport"
	pm2Title       = "PM2"
	nodeRoundRobin = "Node rr"
	nodeNone       = "Node none"
)

// peers are all that take part in a run.
type peers struct {
	managers []manager // of any program, tend first
	clusters []manager // of workers of Node, the balances of tend first
	loggers  []manager // of lines: all are loggers, the ways of tend first
}

// Which of them a measurement is about.
func allManagers(p peers) []manager { return p.managers }
func tendAlone(p peers) []manager   { return p.managers[:1] }
func allClusters(p peers) []manager { return p.clusters }

// reloaders are the clusters that know how to reload: tend, and PM2.
func reloaders(p peers) []manager {
	return choose(p.clusters, func(m *pm2Like) bool { return true })
}

// balances are the ways of tend to lead a cluster.
func balances(p peers) []manager {
	return choose(p.clusters, func(m *pm2Like) bool { return m.balance != "" })
}

// oneTend is for what no balance has a part in.
func oneTend(p peers) []manager {
	all := balances(p)
	return all[:min(1, len(all))]
}

// crowded are those whose daemon is watched while many apps write.
func crowded(p peers) []manager {
	return choose(p.loggers, func(m *pm2Like) bool { return !m.dated })
}

// rotators are the ways of those who rotate logs, and tendLogs that of tend
// which keeps the time of each line.
func rotators(p peers) []manager {
	return choose(p.loggers, func(m *pm2Like) bool { return m.rotates })
}

func tendLogs(p peers) []manager {
	return choose(p.loggers, func(m *pm2Like) bool { return m.rotates && m.dated })
}

func allLoggers(p peers) []manager { return p.loggers }

func choose(all []manager, which func(*pm2Like) bool) (chosen []manager) {
	for _, m := range all {
		if like, ok := m.(*pm2Like); ok && which(like) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// peersFor are the peers that the options ask for, and why some that were
// wanted are not among them.
func peersFor(ctx context.Context, o options, progress io.Writer) (p peers, leftOut []string, err error) {
	path, err := filepath.Abs(o.tend)
	if err != nil {
		return p, nil, err
	}
	tend, err := newTend(ctx, path)
	if err != nil {
		return p, nil, fmt.Errorf("%w (`make build` makes it)", err)
	}
	p.managers = append(p.managers, tend)
	p.loggers = rawAndDated(tend, tendRaw, tendDated)
	for _, b := range []struct{ title, balance string }{
		{tendRoundRobin, "round-robin"}, {tendShared, "shared"}, {tendReuseport, "reuseport"},
	} {
		like := *tend
		like.title, like.balance = b.title, b.balance
		p.clusters = append(p.clusters, &like)
	}
	if !o.noPM2 {
		switch pm2, err := newPM2(ctx, o.pm2, o.pm2Thousand, progress); {
		case err == nil:
			p.managers, p.clusters = append(p.managers, pm2), append(p.clusters, pm2)
			p.loggers = append(p.loggers, rawAndDated(pm2, pm2Raw, pm2Dated)...)
		case ctx.Err() != nil:
			return p, nil, ctx.Err()
		default:
			leftOut = append(leftOut, fmt.Sprintf("PM2 is left out: %v.", err))
		}
	}
	if !o.noSupervisor {
		switch supervisor, err := newSupervisor(ctx); {
		case err == nil:
			p.managers, p.loggers = append(p.managers, supervisor), append(p.loggers, supervisor)
		default:
			leftOut = append(leftOut, fmt.Sprintf("Supervisor is left out: %v.", err))
		}
	}
	p.loggers = append(p.loggers, redirection{})
	switch clusters, err := newNodeClusters(ctx); {
	case err == nil:
		p.clusters = append(p.clusters, clusters...)
	default:
		p.clusters = nil // the apps are Node's
		leftOut = append(leftOut, fmt.Sprintf("Cluster mode is left out: %v.", err))
	}
	return p, leftOut, nil
}
