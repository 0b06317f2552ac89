// Package tidy looks after what was put aside of logs: a [Caretaker] has a
// child [Compress] it, and removes what has expired.
//
// It writes to no log and puts none aside, and no writer waits for it. What is
// left to do stands in the directory and nowhere else, so that a death in the
// middle costs nothing: who comes next sees where it was.
package tidy
