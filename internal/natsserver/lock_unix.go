//go:build unix

package natsserver

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// dirLock prevents two processes from opening one JetStream store, which would
// corrupt it. The kernel releases it when the process ends.
type dirLock struct {
	file *os.File
	once sync.Once
}

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "capture-worker.lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("locking the store directory of the embedded NATS server: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the store directory %s is used by another embedded NATS server; stop that one or choose another directory: %w", dir, err)
	}
	return &dirLock{file: f}, nil
}

func (l *dirLock) release() {
	l.once.Do(func() { _ = l.file.Close() })
}
