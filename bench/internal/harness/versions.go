package harness

import (
	"runtime"
	"strings"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/result"
)

// Versions tells what took part.
func (a *Harness) Versions() []result.Version {
	list := []result.Version{
		{Name: "Go", Version: runtime.Version()},
		{Name: "nats-server", Version: fixture.ModuleVersion(a.program("nats-server"), "github.com/nats-io/nats-server/v2")},
		{Name: "nats.go", Version: fixture.ModuleVersion(a.program(CaptureWorker), "github.com/nats-io/nats.go")},
		{Name: CaptureWorker, Version: fixture.Commit(a.cfg.Root)},
	}
	for _, c := range a.candidates {
		if c.module != "" {
			version := fixture.ModuleVersion(c.path, c.module)
			list = append(list, result.Version{Name: c.name, Version: strings.TrimPrefix(version, "v")})
		}
		if c.server != nil && c.server.version != nil {
			list = append(list, result.Version{Name: c.server.name, Version: c.server.version()})
		}
	}
	return list
}
