//go:build !race

package sidebyside

const raced = false
