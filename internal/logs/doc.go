// Package logs moves the output of apps into files and reads those files back
// for people.
//
// The daemon has one [Collector] for all apps. It copies each stream of output
// from its pipe into one or more files, in one goroutine and with one buffer,
// however many apps there are. Bytes leave the pipe only after they are in the
// files: a daemon that is killed loses nothing, though the block of at most
// 64 KiB that it was copying may come twice, and an app whose disk is full
// waits for it.
//
// [History] reads what was written, also what was put aside since, and a
// [Follower] goes on from there, without a gap or a repeat. Both only read the
// files: they need no daemon, and however slow a reader is, no app waits for it.
//
// The package does not know apps: which stream goes where is told to it, and
// bytes pass unchanged.
package logs
