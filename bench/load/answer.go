package load

import (
	"bytes"
	"strconv"
	"strings"
)

// verdict is what can be said of an answer that may not be whole.
type verdict int

const (
	partial verdict = iota
	whole
	wrong
)

// judge reads an answer as far as it has come. last tells that the server will
// close the connection.
func judge(text []byte) (v verdict, last bool) {
	const status, gap = "HTTP/1.1 200 ", "\r\n\r\n"
	if !strings.HasPrefix(status, string(text[:min(len(text), len(status))])) {
		return wrong, true
	}
	end := bytes.Index(text, []byte(gap))
	if end < 0 {
		return partial, false
	}
	size := -1
	for lines := text[:end]; len(lines) > 0; {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return wrong, true
			}
			size = n
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		}
	}
	switch have := len(text) - end - len(gap); {
	case size < 0 || have > size:
		return wrong, true
	case have < size:
		return partial, last
	}
	return whole, last
}
