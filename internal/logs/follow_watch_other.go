//go:build !linux

package logs

func newWatch() watch { return newPoll() }
