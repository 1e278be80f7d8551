// Package freeport finds free TCP ports on the loopback interface.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the ephemeral range. A server under test must get its
// own port back after a restart. In the ephemeral range, a client that
// reconnects may be given that port as its own source port: it then connects to
// itself and keeps the port occupied.
const (
	lowest  = 10_000
	highest = 30_000
)

// Find returns n different ports without a listener. All of them are held
// until the last one is found and are then released, so another process may
// take one before the caller does.
func Find(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range 100 * n {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("finding %d free ports on 127.0.0.1: only %d found between %d and %d", n, len(ports), lowest, highest)
}
