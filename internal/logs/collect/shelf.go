package collect

// Shelf keeps descriptors over the death of the daemon.
type Shelf interface {
	// Hold puts a copy of fd on the shelf.
	Hold(name string, fd int) error
	// Held is the descriptor of that name; it stays the shelf's.
	Held(name string) (fd int, ok bool)
	// Drop takes it off the shelf, and closes it.
	Drop(name string)
}
