package read

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// cutter makes lines of bytes as they come. A line longer than 1 MiB comes in
// pieces, and no character is cut by that.
type cutter struct {
	// each gets a line or a piece of one, whether its end was there too, and the
	// offset behind it. The bytes are good during the call only.
	each   func(line []byte, ended bool, end int64) error
	offset int64 // of what was given

	line    []byte // the beginning of a line whose end was not seen yet
	partial bool   // the beginning of the current line was given already
}

// take cuts bytes into lines, and lines that are too long into pieces.
func (c *cutter) take(b []byte) error {
	for len(b) > 0 {
		piece, rest, ended := bytes.Cut(b, []byte("\n"))
		room := maxLine - len(c.line)
		split := len(piece) > room
		if split {
			piece, rest, ended = b[:room], b[room:], false
		}
		b = rest
		if len(c.line) > 0 || !ended {
			c.line = append(c.line, piece...)
			piece = c.line
		}
		var err error
		switch {
		case ended:
			err = c.give(piece, true)
		case split:
			err = c.giveWhole(piece)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// giveWhole hands on a piece of a line, without a character at its end that is
// not whole: the next piece begins with that.
func (c *cutter) giveWhole(piece []byte) error {
	end := len(piece) - halfRune(piece)
	begun := slices.Clone(piece[end:])
	err := c.give(piece[:end], false)
	c.line = append(c.line, begun...)
	return err
}

// halfRune is how many bytes at the end are the beginning of a character.
func halfRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if end := b[len(b)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return n
		}
	}
	return 0
}

// give hands on a line or a piece of one, and nothing where only the end of a
// line was left to come.
func (c *cutter) give(line []byte, ended bool) error {
	c.offset += int64(len(line))
	if ended {
		c.offset++
	}
	var err error
	if len(line) > 0 || !c.partial {
		err = c.each(line, ended, c.offset)
	}
	c.partial = !ended
	c.line = c.line[:0]
	if cap(c.line) > blockSize {
		c.line = nil // one long line is no reason to hold that much for good
	}
	return err
}

// pause gives the beginning of a line that has no end for too long.
func (c *cutter) pause() error {
	if len(c.line) == 0 {
		return nil
	}
	return c.give(c.line, false)
}

// flush gives the beginning of a line that will get no end.
func (c *cutter) flush() error {
	err := c.pause()
	c.partial = false
	return err
}

// restart goes on at another offset.
func (c *cutter) restart(offset int64) { c.offset, c.partial, c.line = offset, false, nil }
