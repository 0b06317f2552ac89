package wire

import (
	"encoding/binary"
	"errors"
)

var errField = errors.New("wire: field is cut short or too large")

// A field on the wire: number (1 byte), length (32 bits), value. An unsigned
// number is 8 bytes, little endian; a list is the same field many times.

func appendBytes(b []byte, field uint8, v []byte) []byte {
	b = append(b, field)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v))) //nolint:gosec // bodies are at most maxBody
	return append(b, v...)
}

func appendString(b []byte, field uint8, v string) []byte {
	b = append(b, field)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v))) //nolint:gosec // bodies are at most maxBody
	return append(b, v...)
}

func appendUint(b []byte, field uint8, v uint64) []byte {
	b = append(b, field, 8, 0, 0, 0)
	return binary.LittleEndian.AppendUint64(b, v)
}

func appendInt(b []byte, field uint8, v int) []byte {
	return appendUint(b, field, uint64(v)) //nolint:gosec // two's complement both ways
}

func appendBool(b []byte, field uint8, v bool) []byte {
	if !v {
		return b // absent is false
	}
	return appendUint(b, field, 1)
}

// value is the content of one field.
type value []byte

// fields calls f with every field of b, in order.
func fields(b []byte, f func(field uint8, v value)) error {
	for len(b) > 0 {
		if len(b) < 5 {
			return errField
		}
		size := int(binary.LittleEndian.Uint32(b[1:]))
		if size > len(b)-5 {
			return errField
		}
		f(b[0], value(b[5:5+size]))
		b = b[5+size:]
	}
	return nil
}

func (v value) string() string { return string(v) }

func (v value) bytes() []byte { return append([]byte(nil), v...) }

// uint is 0 for a field of another size, which no version ever sent.
func (v value) uint() uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(v)
}

func (v value) int() int { return int(v.uint()) } //nolint:gosec // two's complement both ways

func (v value) bool() bool { return v.uint() != 0 }
