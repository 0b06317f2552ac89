//go:build !linux

package durable

import "testing"

func smallDisk(t *testing.T) string {
	t.Skip("tmpfs is Linux's; a limit on files stands in for it")
	return ""
}
