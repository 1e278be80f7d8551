package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folder is an archive in a folder of the machine.
type folder struct{ dir string }

func (f folder) Where() string { return "folder " + f.dir }

// part marks files that are being written.
const part = ".part"

// Create writes a file under another name and links it to its own when it is on
// the disk.
func (f folder) Create(_ context.Context, name string, body io.Reader, _ int64) error {
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(name)+".*"+part)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = io.Copy(file, body)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Chmod(0o440), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Link(file.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, ErrExists)
	} else if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncFolders(f.dir, filepath.Dir(path))
}

// syncFolders makes new names survive a power failure: those of a folder and of
// the folders above it, up to the archive's own.
func syncFolders(top, folder string) error {
	for {
		d, err := os.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("syncing folder %s: %w", folder, err)
		}
		parent := filepath.Dir(folder)
		if folder == filepath.Clean(top) || parent == folder {
			return nil
		}
		folder = parent
	}
}

func (f folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return file, err
}

func (f folder) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	root := filepath.Join(f.dir, filepath.FromSlash(prefix[:strings.LastIndexByte(prefix, '/')+1]))
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		name, err := filepath.Rel(f.dir, path)
		if name = filepath.ToSlash(name); err == nil && strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, part) {
			names = append(names, name)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	slices.Sort(names)
	return names, err
}
