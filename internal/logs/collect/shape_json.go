package collect

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// appendEscaped adds text as it stands within a string of JSON: escaped where
// it has to be and nowhere else, as JavaScript does it. Bytes that are no UTF-8
// become U+FFFD each.
func appendEscaped(b, text []byte) []byte {
	for {
		n := plain(text)
		b = append(b, text[:n]...)
		text = text[n:]
		if len(text) == 0 {
			return b
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r < utf8.RuneSelf {
			b = appendEscape(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
}

// plain is how many bytes at the beginning of text are ASCII that stands for
// itself. It looks at eight at once, which makes lines of JSON twice as fast.
func plain(text []byte) (n int) {
	for len(text)-n >= 8 {
		found := special(binary.LittleEndian.Uint64(text[n:]))
		if found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
		n += 8
	}
	for n < len(text) && text[n] >= ' ' && text[n] != '"' && text[n] != '\\' && text[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// special has the top bit set of the first byte in word that is not plain.
// Bytes behind it may be marked too, for a subtraction borrows from them.
func special(word uint64) uint64 {
	const each = 0x0101010101010101
	quotes, backslashes := word^each*'"', word^each*'\\' // zero where there is one
	controls := word - each*' '                          // negative where there is one
	return (word | controls | (quotes - each) | (backslashes - each)) & (each << 7)
}

// appendEscape adds what stands for a byte that may not stand for itself.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}
