// Package collect moves the output of apps into files, and puts those files
// aside when they have grown.
//
// The daemon has one [Collector] for all apps. It copies each stream of output
// from its pipe into one or more files, in one goroutine and through one block
// of memory, however many apps there are. What it has in hand stands on a slate
// that outlives the daemon (slate_linux.go): one that is killed at any
// instruction loses nothing and leaves nothing twice, and an app whose disk is
// full waits for it. A stream whose [Shape] is not the zero value is copied line
// by line, with a time before each, as JSON, or not beyond a rate; all others
// go through as they are.
//
// Between two lines a file may be put aside under another name, as package
// rotation decides; what becomes of it then is for package tidy.
//
// The package does not know apps: which stream goes where is told to it.
package collect
