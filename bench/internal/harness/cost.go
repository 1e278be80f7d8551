package harness

import (
	"os"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/procfs"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// cost is CPU time, by who has spent it.
type cost struct {
	worker, broker, gateway, harness time.Duration
	machine                          procfs.Busy
}

// spent is what was spent so far.
func (a *Harness) spent(c candidate, p *fixture.Process) (s cost, err error) {
	broker := a.Broker.Process.PID()
	if c.server != nil {
		broker = c.server.pid()
	}
	for _, of := range []struct {
		pid  int
		into *time.Duration
	}{{p.PID(), &s.worker}, {broker, &s.broker}, {a.Gateway.PID(), &s.gateway}, {os.Getpid(), &s.harness}} {
		if *of.into, err = procfs.CPU(of.pid); err != nil {
			return s, err
		}
	}
	s.machine, err = procfs.ReadBusy()
	return s, err
}

func (s cost) since(b cost) cost {
	return cost{
		worker: s.worker - b.worker, broker: s.broker - b.broker, gateway: s.gateway - b.gateway, harness: s.harness - b.harness,
		machine: procfs.Busy{Worked: s.machine.Worked - b.machine.Worked, Passed: s.machine.Passed - b.machine.Passed},
	}
}

// others is the share of the machine that all other programs took. The counts of
// the machine and of processes are rounded differently, hence the bound.
func (s cost) others() float64 {
	if s.machine.Passed <= 0 {
		return 0
	}
	ours := s.worker + s.broker + s.gateway + s.harness
	return max(0, (s.machine.Worked-ours).Seconds()/s.machine.Passed.Seconds())
}

// measurement is what happened inside the window.
type measurement struct {
	points []stats.Point
	cost
}

func (m measurement) into(t *result.Round) {
	jobs := float64(m.points[len(m.points)-1].Count - m.points[0].Count)
	perJob := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / jobs }
	t.Rate, t.PlainRate = stats.Rate(m.points), stats.PlainRate(m.points)
	t.WorkerCPU, t.BrokerCPU, t.GatewayCPU = perJob(m.worker), perJob(m.broker), perJob(m.gateway)
	t.Others = m.others()
}
