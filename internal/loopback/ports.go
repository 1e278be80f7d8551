// Package loopback finds ports of this machine for servers that have to be told
// one.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are looked for below those that the system gives to outgoing
// connections and to who asks for any. A server that is away must find its own
// again, and a client that tries to reconnect to one of the others may be given
// the very port as its own, connect to itself, and keep the server out.
const (
	lowest  = 10_000
	highest = 30_000
)

// FreePorts finds n different ports that nobody listens on. They are held
// together while they are looked for and then given free, so that somebody else
// may take one before the caller does. It gives up after some hundred tries for
// each.
func FreePorts(n int) ([]int, error) {
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
	return nil, fmt.Errorf("%d free ports are not to be found between %d and %d", n, lowest, highest)
}
