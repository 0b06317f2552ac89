// Package keeper is the small process that must not die: parent of the daemon
// and of every app. It does four things: it spawns, it holds file descriptors
// ("the shelf"), it reaps, and it starts the daemon again when that dies.
//
// It decides nothing and knows no policy: which program runs, when it is
// signalled and whether it starts again is the daemon's business. It trusts
// the daemon, which it talks to over an inherited socketpair that nobody else
// can reach.
//
// An exit is numbered and kept until the daemon has acknowledged it, over any
// number of daemons. A descriptor is kept until the daemon drops it. When the
// keeper itself is killed, the daemon starts another and hands it everything;
// for an upgrade it becomes the new binary in place, with the same pid, so
// that its children stay its children.
package keeper
