package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// readFile is the content of a regular file. Opened so, a fifo does not keep us
// waiting for a writer.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRead))
	return text, cause(err)
}

// cause is err without the path, which the error around it names.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
