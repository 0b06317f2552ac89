// Command tend-keeper is started by tend; see the package internal/keeper.
package main

import (
	"os"

	"tend/internal/keeper"
)

func main() { os.Exit(keeper.Main(os.Args)) }
