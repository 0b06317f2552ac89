// Command tend-daemon is the daemon that tend-keeper runs. It is a binary of
// its own because it stays in memory: what the command line links (engines for
// configuration files, terminal handling) would double what it takes.
package main

import (
	"context"
	"fmt"
	"os"

	"tend/internal/daemon"
)

func main() {
	if err := daemon.Main(context.Background(), os.Args, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "tend-daemon:", err)
		os.Exit(1)
	}
}
