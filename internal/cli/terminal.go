package cli

import (
	"os"

	"golang.org/x/term"
)

// Terminal is the width of the terminal that f is, and whether it is one.
func Terminal(f *os.File) (width int, is bool) {
	if !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0 // as wide as needed
	}
	return width, true
}
