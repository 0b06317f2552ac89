package collect

import "tend/api"

// Stream is one output of one instance and where it goes.
type Stream struct {
	Key string // unique among the streams of a Collector
	// FD is the reading end of a pipe, with O_NONBLOCK. It stays the caller's
	// and must stay open until closed was called with Key.
	FD int
	// Paths are the files that get all of the stream. None, or os.DevNull,
	// lets it go.
	Paths []string
	// Owner is whom a file belongs to that has to be created; nil: us.
	Owner *Owner
	// Shape is what becomes of the lines.
	Shape Shape
	// Shared: other streams write to the same files, so that only whole lines
	// go there.
	Shared bool
	// Rotation of the files; nil: that of the home. Its TotalCap is for all files
	// of streams with the same Shape.App.
	Rotation *api.Rotation
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }
