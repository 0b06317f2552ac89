package gitinfo

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxCommit bounds what is read of a commit; what is behind is message.
const maxCommit = 64 << 10

var errNoObject = errors.New("the object is not there, or stored in a way that is not read here")

// commit is the text of a commit: a file of its own, or a part of a pack.
func (r repository) commit(hash string) ([]byte, error) {
	objects := filepath.Join(r.common, "objects")
	f, err := os.Open(filepath.Join(objects, hash[:2], hash[2:]))
	if err != nil {
		return packedCommit(filepath.Join(objects, "pack"), hash)
	}
	defer f.Close()
	text, err := inflate(f)
	if err != nil {
		return nil, err
	}
	head, text, ok := bytes.Cut(text, []byte{0})
	if !ok || !bytes.HasPrefix(head, []byte("commit ")) {
		return nil, errNoObject
	}
	return text, nil
}

// inflate is what a zlib stream holds, or the beginning of it.
func inflate(r io.Reader) ([]byte, error) {
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	text, err := io.ReadAll(io.LimitReader(z, maxCommit))
	return text, err
}

// packedCommit looks a commit up in all packs.
func packedCommit(dir, hash string) ([]byte, error) {
	const most = 256 // packs
	indexes, err := filepath.Glob(filepath.Join(dir, "*.idx"))
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(hash)
	if err != nil {
		return nil, err
	}
	for _, path := range indexes[:min(len(indexes), most)] {
		if at, ok := find(path, id); ok {
			return openPack(path, at)
		}
	}
	return nil, errNoObject
}

// index is a pack's list of objects, version 2 (gitformat-pack(5)).
type index struct {
	file *os.File
	err  error
}

func (x *index) read(at, size int64) []byte {
	b := make([]byte, size)
	if _, err := x.file.ReadAt(b, at); err != nil && x.err == nil {
		x.err = err
	}
	return b
}

func (x *index) number(at int64) int64 { return int64(binary.BigEndian.Uint32(x.read(at, 4))) }

// find is where in its pack an object stands. The list is sorted, with how many
// objects begin with at most each byte before it; then come checksums, offsets,
// and offsets that need eight bytes.
func find(path string, id []byte) (offset int64, ok bool) {
	const fanout = 8 // behind the magic number and the version
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	x := &index{file: f}
	if string(x.read(0, fanout)) != "\xfftOc\x00\x00\x00\x02" {
		return 0, false
	}
	count := x.number(fanout + 4*255)
	low, high := int64(0), x.number(fanout+4*int64(id[0]))
	if id[0] > 0 {
		low = x.number(fanout + 4*(int64(id[0])-1))
	}
	size := int64(len(id))
	names := int64(fanout + 4*256)
	for low < high && x.err == nil {
		middle := (low + high) / 2
		switch bytes.Compare(x.read(names+middle*size, size), id) {
		case 0:
			offsets := names + count*(size+4)
			offset = x.number(offsets + 4*middle)
			if large := offset & 0x7fffffff; large != offset {
				offset = int64(binary.BigEndian.Uint64(x.read(offsets+4*count+8*large, 8))) //nolint:gosec // ReadAt refuses what is negative
			}
			return offset, x.err == nil
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}

// parseCommit is the message of a commit, and when it was made.
func parseCommit(text []byte) (comment string, at time.Time) {
	head, message, _ := strings.Cut(string(text), "\n\n")
	for l := range strings.SplitSeq(head, "\n") {
		if who, ok := strings.CutPrefix(l, "committer "); ok {
			at = signed(who)
		}
	}
	comment = strings.TrimSpace(message)
	if len(comment) > maxComment {
		comment = strings.ToValidUTF8(comment[:maxComment], "")
	}
	return comment, at
}

// signed is the time at the end of "Name <mail> 1700000000 +0100".
func signed(who string) time.Time {
	fields := strings.Fields(who)
	if len(fields) < 2 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(fields[len(fields)-2], 10, 64)
	if err != nil {
		return time.Time{}
	}
	at := time.Unix(seconds, 0)
	if zone, err := time.Parse("-0700", fields[len(fields)-1]); err == nil {
		return at.In(zone.Location())
	}
	return at.UTC()
}
