//go:build !linux

package wire

import "errors"

var errNoMemFile = errors.New("wire: files in memory are not supported on this system yet")

// MemFile makes a file in memory that holds data.
func MemFile([]byte) (int, error) { return -1, errNoMemFile }

func readFile(int, int) ([]byte, error) { return nil, errNoMemFile }
