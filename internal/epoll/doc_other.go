//go:build !linux

// Package epoll is for Linux alone.
package epoll
