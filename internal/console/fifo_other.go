//go:build !linux

package console

import "os"

func widen(*os.File) {}
