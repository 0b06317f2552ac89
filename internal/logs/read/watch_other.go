//go:build !linux

package read

func newWatch() watch { return newPoll() }
