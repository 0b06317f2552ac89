package collect

import "errors"

// errNoWriter says that a pipe is empty and will stay so.
var errNoWriter = errors.New("the pipe has no writer any more")

// blockSize is how much is copied at once: what a pipe holds by default.
const blockSize = 64 << 10
