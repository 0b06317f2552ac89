package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tend/internal/sysinfo"
)

// measurement is something that each manager is measured by, in a home of its
// own each time.
type measurement struct {
	name string
	// sizes chooses of the numbers of apps that were asked for.
	sizes func(all []int) []int
	// rounds is the most that there are any use of.
	rounds int
	// of chooses who has a turn.
	of   func(peers) []manager
	take func(ctx context.Context, t *turn) error
}

// How long is waited, and how often is looked.
const (
	settle    = time.Second     // between two commands
	quiet     = 3 * time.Second // after a change, before the look
	watch     = 20 * time.Second
	listings  = 10 // a turn
	lives     = 4  // a turn
	victims   = 20 // apps under a manager that is killed
	aftermath = 2 * time.Second
	many      = 100 // apps, for what is not worth looking at with fewer
	pair      = 2   // workers of a cluster
	quartet   = 4   // where one of them is out of order
	always    = 1 << 20
)

func measurements() []measurement {
	every := func(all []int) []int { return all }
	large := func(all []int) []int {
		return slices.DeleteFunc(slices.Clone(all), func(n int) bool { return n < many })
	}
	only := func(n int) func([]int) []int { return func([]int) []int { return []int{n} } }
	return []measurement{
		{name: "memory", sizes: func(all []int) []int { return append([]int{0}, large(all)...) }, rounds: 3, of: allManagers, take: takeMemory},
		{name: "ls", sizes: every, rounds: always, of: allManagers, take: takeList},
		{name: "cycle", sizes: every, rounds: always, of: allManagers, take: takeCycle},
		{name: "files", sizes: only(filed), rounds: always, of: tendAlone, take: takeFiles},
		{name: "kill", sizes: large, rounds: always, of: allManagers, take: takeKill},
		{name: "gap", sizes: only(1), rounds: always, of: allManagers, take: takeGap},
		{name: "cpu", sizes: large, rounds: 3, of: allManagers, take: takeCPU},
		{name: "crash", sizes: only(victims), rounds: 3, of: allManagers, take: takeCrash},
		{name: "keeper", sizes: only(victims), rounds: 3, of: tendAlone, take: takeKeeperCrash},
		{name: "cluster-rates", sizes: only(pair), rounds: 3, of: allClusters, take: takeRates},
		{name: "cluster-reload", sizes: only(pair), rounds: 1, of: reloaders, take: takeReload},
		{name: "cluster-load", sizes: only(pair), rounds: 1, of: reloaders, take: takePlainReloads},
		{name: "cluster-slow", sizes: only(pair), rounds: 1, of: reloaders, take: takeSlowReloads},
		{name: "cluster-crash", sizes: only(pair), rounds: 1, of: reloaders, take: takeCrashingVersion},
		{name: "cluster-silent", sizes: only(pair), rounds: 1, of: reloaders, take: takeSilentVersion},
		{name: "cluster-late", sizes: only(pair), rounds: 1, of: reloaders, take: takeLateVersion},
		{name: "cluster-daemon", sizes: only(pair), rounds: 1, of: balances, take: takeDaemonDeaths},
		{name: "cluster-messages", sizes: only(1), rounds: 1, of: oneTend, take: takeMessages},
		{name: "cluster-abuse", sizes: only(quartet), rounds: 1, of: reloaders, take: takeAbuse},
		{name: "logs-blocks", sizes: only(1), rounds: always, of: allLoggers, take: takeBlocks},
		{name: "logs-singles", sizes: only(1), rounds: always, of: allLoggers, take: takeSingles},
		{name: "logs-rotating", sizes: only(1), rounds: 3, of: rotators, take: takeRotating},
		{name: "logs-crowd", sizes: only(crowdSized), rounds: 1, of: crowded, take: takeCrowd},
		{name: "logs-follow", sizes: only(quietApps), rounds: 3, of: crowded, take: takeFollow},
		{name: "logs-history", sizes: only(1), rounds: 1, of: tendLogs, take: takeHistory},
	}
}

// isOf tells that name is that of m, or of the group of measurements that the
// name of m begins with.
func (m measurement) isOf(name string) bool {
	return m.name == name || strings.HasPrefix(m.name, name+"-")
}

func measurementNames() []string {
	var names []string
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

// takeMemory adds up what the manager's processes hold when it had nothing to
// do for a while.
func takeMemory(ctx context.Context, t *turn) error {
	if t.apps > 0 {
		if _, _, err := t.startSleepers(ctx, t.apps); err != nil {
			return err
		}
	}
	if err := pause(ctx, quiet); err != nil {
		return err
	}
	pids, err := t.managers()
	if err != nil {
		return err
	}
	var sum float64
	for _, pid := range pids {
		bytes, err := resident(pid)
		if err != nil {
			return err
		}
		sum += bytes
	}
	t.record(memory, sum)
	t.said = append(t.said, fmt.Sprintf("processes %d", len(pids)))
	return nil
}

func takeList(ctx context.Context, t *turn) error {
	if _, _, err := t.startSleepers(ctx, t.apps); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	var all []float64
	for range listings {
		took, err := t.time(ctx, list)
		if err != nil {
			return err
		}
		all = append(all, took.Seconds())
	}
	t.record(listTime, all...)
	return nil
}

// takeCycle starts, restarts and deletes all apps, each in one command.
func takeCycle(ctx context.Context, t *turn) error {
	took, first, err := t.startSleepers(ctx, t.apps)
	if err != nil {
		return err
	}
	t.record(startTime, took.Seconds())

	// An app that is stopped in its first instants is no usual app.
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if took, err = t.time(ctx, restart); err != nil {
		return err
	}
	second := t.sleepers()
	if stayed := living(first); len(second) != t.apps || stayed > 0 {
		return fmt.Errorf("check the restart: %d apps run, not %d, and %d of them are the old ones", len(second), t.apps, stayed)
	}
	t.record(restartTime, took.Seconds())

	if err := pause(ctx, settle); err != nil {
		return err
	}
	if took, err = t.time(ctx, remove); err != nil {
		return err
	}
	if left := len(t.sleepers()); left > 0 {
		return fmt.Errorf("check the deletion: %d apps run on", left)
	}
	t.record(deleteTime, took.Seconds())
	return nil
}

// takeKill ends the manager with all its apps. The time is over when no
// process is left, which may be after the command.
func takeKill(ctx context.Context, t *turn) error {
	if _, _, err := t.startSleepers(ctx, t.apps); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	began := time.Now()
	took, err := t.time(ctx, kill)
	if err != nil {
		return err
	}
	if len(marked(t.mark)) > 0 {
		err = until(ctx, 10*time.Second, 10*time.Millisecond, "no process is left", func() bool {
			took = time.Since(began)
			return len(marked(t.mark)) == 0
		})
		if err != nil {
			return err
		}
	}
	t.record(killTime, took.Seconds())
	return nil
}

// takeGap lets an app end a few times.
func takeGap(ctx context.Context, t *turn) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(t.dir, "lives")
	if _, err := t.start(ctx, []app{mortal(exe, file, mortalAge)}); err != nil {
		return err
	}
	// Looking disturbs, so it is done seldom.
	var all []float64
	err = until(ctx, 5*lives*mortalAge, mortalAge/2, "the app has lived a few times", func() bool {
		all, _ = gaps(file) // there is no file before the first life
		return len(all) >= lives
	})
	if err != nil {
		return err
	}
	t.record(restartGap, all...)
	return nil
}

// takeCPU watches the manager do nothing.
func takeCPU(ctx context.Context, t *turn) error {
	if _, _, err := t.startSleepers(ctx, t.apps); err != nil {
		return err
	}
	if err := pause(ctx, quiet); err != nil {
		return err
	}
	pids, err := t.managers()
	if err != nil {
		return err
	}
	before, err := cpuTimes(pids)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, watch); err != nil {
		return err
	}
	after, err := cpuTimes(pids)
	if err != nil {
		return err
	}
	t.record(cpu, 100*(after-before).Seconds()/time.Since(began).Seconds())
	return nil
}

func cpuTimes(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		used, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

func takeCrash(ctx context.Context, t *turn) error {
	return t.crash(ctx, t.daemon, daemonSurvivors, daemonKept)
}

func takeKeeperCrash(ctx context.Context, t *turn) error {
	return t.crash(ctx, t.keeper, keeperSurvivors, keeperKept)
}

// crash kills one of the manager's processes and records how many apps live
// on, and how many of those the manager still knows.
func (t *turn) crash(ctx context.Context, victim func() (int, error), survivors, kept quantity) error {
	_, before, err := t.startSleepers(ctx, t.apps)
	if err != nil {
		return err
	}
	known, err := t.instances(ctx, t.home)
	if err != nil {
		return err
	}
	if len(known) != t.apps {
		return fmt.Errorf("check the list: it has %d apps, not %d", len(known), t.apps)
	}
	pid, err := victim()
	if err != nil {
		return err
	}
	if !hasMark(pid, t.mark) {
		return fmt.Errorf("kill process %d: it is none of ours", pid)
	}
	endMarked(pid, t.mark)
	if err := pause(ctx, aftermath); err != nil {
		return err
	}
	t.record(survivors, float64(living(before)))

	// No answer is an answer: Supervisor stays dead.
	after, err := t.instances(ctx, t.home)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return err
	}
	var same int
	for _, in := range after {
		if slices.Contains(known, in) && hasMark(in.pid, t.mark) {
			same++
		}
	}
	t.record(kept, float64(same))
	return nil
}

// living counts those that have not ended.
func living(all []sysinfo.Identity) (n int) {
	for _, id := range all {
		if id.Alive() {
			n++
		}
	}
	return n
}
