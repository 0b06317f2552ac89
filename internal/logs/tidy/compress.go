package tidy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"tend/internal/errs"
	"tend/internal/logs"
	"tend/internal/rotation"
)

// CompressCommand is the argument that makes the daemon's program the child
// that compresses a file, and nothing else.
const CompressCommand = "compress"

// Compress is the child's whole program: it takes a method and the path of a
// file, and writes the compressed file beside it, under a name that says that
// it is not whole yet. To rename it and to remove the original is for the
// daemon to do. The child gets what processor and disk nobody else wants.
func Compress(args []string) error {
	if len(args) != 2 {
		return &errs.Error{
			Op: "compress", On: "a log", Kind: errs.Invalid, Err: errors.New("want a method and a file"),
			Hint: "the daemon calls this for itself",
		}
	}
	method, path := args[0], args[1]
	stepBack()
	if err := compressFile(method, path); err != nil {
		return logs.Problem("compress log", path, err)
	}
	return nil
}

func compressFile(method, path string) error {
	// Apps may own the directory: neither name may lead elsewhere.
	src, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no plain file")
	}
	_, half := packed(path, method)
	dst, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = squeeze(dst, src, method)
	if err == nil {
		err = alike(dst, info)
	}
	return errors.Join(err, dst.Close())
}

// packed are the names of a file that is compressed, and of one that is not
// whole yet.
func packed(path, method string) (done, half string) {
	ending, _ := rotation.Ending(method)
	return path + ending, path + ending + rotation.HalfEnding
}

// squeeze writes all of src to dst, compressed.
func squeeze(dst io.Writer, src io.Reader, method string) error {
	w, err := compressor(dst, method)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, src); err != nil {
		return err
	}
	return w.Close()
}

func compressor(dst io.Writer, method string) (io.WriteCloser, error) {
	switch method {
	case "gzip":
		return gzip.NewWriterLevel(dst, gzip.DefaultCompression)
	case "zstd":
		const window = 1 << 20 // logs repeat themselves soon, and memory is dearer than the rest
		return zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window))
	}
	return nil, errors.New("no such compression: " + method)
}

// alike gives dst the owner, the mode and the time of another file.
func alike(dst *os.File, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		// Before the mode, of which this may take bits away (chown(2)).
		if err := dst.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := dst.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	at := unix.NsecToTimespec(info.ModTime().UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, dst.Name(), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// compressAside runs the child over a file, and ends it when ctx ends.
func compressAside(ctx context.Context, method, path string) error {
	cmd := exec.CommandContext(ctx, ownBinary, CompressCommand, method, path) //nolint:gosec // our own program
	cmd.Args[0] = "tend-daemon"
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = diesWithUs()
	// To die with us is to die with the thread that started it (prctl(2)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return errors.New(text)
	}
	if err != nil {
		return fmt.Errorf("compress log %s: %w", path, err)
	}
	return nil
}
