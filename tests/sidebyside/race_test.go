//go:build race

package sidebyside

const raced = true
