//go:build !unix

package natsserver

// dirLock does nothing where the system has no flock.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) release() {}
