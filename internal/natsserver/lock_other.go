//go:build !unix

package natsserver

// dirLock does nothing on systems without flock.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) release() {}
