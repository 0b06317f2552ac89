// Package logs says what a log is on disk: the file that is written to, those
// that were put aside of it ([Rotated]), and beside them when each was written
// to ([Times]).
//
// Whoever works with logs builds on that: package collect moves the output of
// apps into them, package tidy looks after what was put aside, package read
// gives people their lines, and package own is the daemon's own. This one opens
// no log, and knows no app.
package logs
