package freeport_test

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/capture-worker/capture-worker/internal/freeport"
)

func TestFindReturnsDistinctFreePorts(t *testing.T) {
	ports, err := freeport.Find(20)
	if err != nil || len(ports) != 20 {
		t.Fatalf("%d ports, %v", len(ports), err)
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("port %d: %v", port, err)
			continue
		}
		defer l.Close()
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 {
		t.Errorf("duplicate ports: %v", ports)
	}
}
