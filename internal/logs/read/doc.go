// Package read gives people the lines of logs.
//
// [History] gives what was written, also what was put aside, and a [Follower]
// goes on from there, without a gap or a repeat. A [Position] is where a reader
// stopped: it holds over its own end and over whatever happens to the files.
// [Tail] is for the last lines of one file.
//
// The package only reads files: it needs no daemon, and however slow a reader
// is, no app waits for it. It does not know whose a log is: a [File] has a label
// for that, which comes back with each line.
package read
