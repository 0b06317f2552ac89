package main

import "strings"

// The quantities of cluster mode.
const (
	freshRate   quantity = "new connections a second"
	managerCost quantity = "manager's CPU for one"
	workerCost  quantity = "workers' CPU for one"
	freshClient quantity = "client's CPU, new connections"
	freshOthers quantity = "others' CPU, new connections"
	keptRate    quantity = "keep-alive requests a second"
	keptClient  quantity = "client's CPU, keep-alive"
	keptOthers  quantity = "others' CPU, keep-alive"

	reloadTime  quantity = "time of the command"
	freshMade   quantity = "requests on new connections"
	freshFailed quantity = "failed on new connections"
	keptMade    quantity = "keep-alive requests"
	keptFailed  quantity = "failed keep-alive"
	told        quantity = "exit code not 0"
	oldWorkers  quantity = "old workers alive"

	messagesMade     quantity = "messages"
	messagesMissing  quantity = "messages missing"
	messagesRepeated quantity = "messages repeated"

	badMade      quantity = "bad connections"
	floodTaken   quantity = "flood's messages"
	memoryBefore quantity = "daemon's RSS before"
	memoryPeak   quantity = "peak of it"
	memoryAfter  quantity = "after"
	askedMade    quantity = "requests"
	askedRate    quantity = "answers a second"
	askedTail    quantity = "99 % within"
	askedHeld    quantity = "none in 2 s"
	askedFailed  quantity = "failed"
)

// situation is what went on while something was counted.
type situation string

// The situations.
const (
	quietReload     situation = "reload without load"
	plainReload     situation = "reload under load"
	slowReload      situation = "reload under load, 5 ms an answer"
	crashingVersion situation = "version that crashes"
	silentVersion   situation = "version that never listens"
	lateVersion     situation = "version that listens too late"
	daemonDeath     situation = "daemon killed"
	abused          situation = "abuse"
)

// in is q as counted in a situation.
func (q quantity) in(s situation) quantity { return quantity(s) + ": " + q }

// plain is q without its situation.
func (q quantity) plain() quantity {
	if i := strings.LastIndex(string(q), ": "); i >= 0 {
		return q[i+2:]
	}
	return q
}

// visits are the columns of what visitors got.
func visits(s situation) []column {
	return []column{{freshFailed.in(s), freshMade.in(s)}, {keptFailed.in(s), keptMade.in(s)}}
}

func reloadColumns(s situation) []column {
	return append([]column{{q: reloadTime.in(s)}}, visits(s)...)
}

func brokenColumns(s situation) []column {
	return append(reloadColumns(s), column{q: told.in(s)}, column{q: oldWorkers.in(s)})
}

// clusterChapter is the part of the report on cluster mode.
func clusterChapter() chapter {
	return chapter{
		head: "Cluster mode",
		text: "Apps of Node in cluster mode: tend with each `balance`, PM2, and Node's own `cluster` with a plain primary and each of its policies, " +
			"in turns. Of failures and requests, the sum of all rounds; of other figures the median.",
		of: allClusters, counted: "worker", beside: []string{pm2Title, nodeRoundRobin},
		sections: clusterSections(), promises: clusterPromises(),
	}
}

func clusterSections() []section {
	return []section{
		{
			head: "New connections", count: pair, ratios: true,
			text: "64 clients, each request on a connection of its own. The client shares the cores with what it measures; others are all programs of this machine that have nothing to do with it. CPU is of one core.",
			columns: []column{
				{q: freshRate}, {q: managerCost}, {q: workerCost}, {q: freshClient}, {q: freshOthers},
			},
		},
		{
			head: "Keep-alive", count: pair, ratios: true,
			text:    "64 clients with one connection each.",
			columns: []column{{q: keptRate}, {q: keptClient}, {q: keptOthers}},
		},
		{head: "Reload without load", count: pair, columns: []column{{q: reloadTime.in(quietReload)}}, ratios: true},
		{
			head: "20 reloads under load", count: pair, columns: reloadColumns(plainReload),
			text: "16 clients that make a connection for each request and 16 with keep-alive, none of which asks twice. Failed of all.",
		},
		{
			head: "20 reloads under load, 5 ms an answer", count: pair, columns: reloadColumns(slowReload),
			text: "The same clients; the app answers after 5 ms.",
		},
		{
			head: "Reload to a version that crashes", count: pair, columns: brokenColumns(crashingVersion),
			text: "The same clients and an app that answers after 5 ms. `listen_timeout` is 1 s; counted is until 2 s after the command.",
		},
		{head: "Reload to a version that never listens", count: pair, columns: brokenColumns(silentVersion)},
		{head: "Reload to a version that listens too late", count: pair, columns: brokenColumns(lateVersion)},
		{
			head: "Daemon killed 20 times under load", count: pair, columns: append(visits(daemonDeath), column{q: oldWorkers.in(daemonDeath)}),
			text: "The same clients. PM2 and Node are not asked: their workers die with the primary. " +
				"In round robin a connection is lost that the daemon had accepted and not yet handed over.",
		},
		{
			head: "Messages while the daemon is killed 20 times", count: 1,
			text: "An app sends numbered messages of 50 bytes to 40 kB by `process.send`, one every 20 ms; a reader of `/v1/events` resumes behind the last one that it got.",
			columns: []column{
				{messagesMissing.in(daemonDeath), messagesMade.in(daemonDeath)},
				{messagesRepeated.in(daemonDeath), messagesMade.in(daemonDeath)},
			},
		},
		{
			head: "Abuse", count: quartet,
			text: "For 8 s, at the same time: 500 connections a second with garbage and 500 with half a request that stay open, " +
				"one of 4 workers stopped by SIGSTOP, and an app that sends messages as fast as they are read. " +
				"200 well-behaved requests a second wait 2 s for an answer: the stopped worker may hold some, but none may fail in any other way.",
			columns: []column{
				{q: badMade.in(abused)},
				{q: floodTaken.in(abused)},
				{q: memoryBefore.in(abused)},
				{q: memoryPeak.in(abused)},
				{q: memoryAfter.in(abused)},
				{q: askedRate.in(abused)},
				{q: askedTail.in(abused)},
				{askedHeld.in(abused), askedMade.in(abused)},
				{askedFailed.in(abused), askedMade.in(abused)},
			},
		},
	}
}

func clusterPromises() []promise {
	all := []promise{
		{row{freshRate, pair}, tendRoundRobin, 2, pm2Title},
		{row{freshRate, pair}, tendRoundRobin, 1.2, nodeRoundRobin},
		{row{freshRate, pair}, tendShared, 3.5, pm2Title},
		{row{freshRate, pair}, tendReuseport, 3.5, pm2Title},
		{row{managerCost, pair}, tendRoundRobin, 0.5, pm2Title},
	}
	tends := []string{tendRoundRobin, tendShared, tendReuseport}
	each := func(q quantity, workers int, bound float64, times string) {
		for _, who := range tends {
			all = append(all, promise{row{q, workers}, who, bound, times})
		}
	}
	each(keptRate, pair, 0.95, nodeRoundRobin)
	each(reloadTime.in(quietReload), pair, 0.4, "")
	for _, s := range []situation{plainReload, slowReload} {
		each(freshFailed.in(s), pair, 0, "")
		each(keptFailed.in(s), pair, 0, "")
	}
	for _, s := range []situation{crashingVersion, silentVersion, lateVersion} {
		each(freshFailed.in(s), pair, 0, "")
		each(keptFailed.in(s), pair, 0, "")
		each(told.in(s), pair, 1, "")
		each(oldWorkers.in(s), pair, pair, "")
	}
	for _, who := range []string{tendShared, tendReuseport} {
		all = append(all,
			promise{row{freshFailed.in(daemonDeath), pair}, who, 0, ""},
			promise{row{keptFailed.in(daemonDeath), pair}, who, 0, ""})
	}
	all = append(all, promise{row{keptFailed.in(daemonDeath), pair}, tendRoundRobin, 0, ""})
	each(oldWorkers.in(daemonDeath), pair, pair, "")
	all = append(all,
		promise{row{messagesMissing.in(daemonDeath), 1}, tendRoundRobin, 0, ""},
		promise{row{messagesRepeated.in(daemonDeath), 1}, tendRoundRobin, 0, ""})
	each(memoryPeak.in(abused), quartet, 64<<20, "")
	each(askedFailed.in(abused), quartet, 0, "")
	return all
}
