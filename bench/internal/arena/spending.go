package arena

import (
	"os"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/procfs"
	"github.com/capture-worker/capture-worker/bench/internal/result"
	"github.com/capture-worker/capture-worker/bench/internal/rig"
	"github.com/capture-worker/capture-worker/bench/internal/stats"
)

// spending is CPU time, by who has spent it.
type spending struct {
	worker, broker, gateway, harness time.Duration
	machine                          procfs.Busy
}

// spent is what was spent so far.
func (a *Arena) spent(c contestant, p *rig.Process) (s spending, err error) {
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

func (s spending) since(b spending) spending {
	return spending{
		worker: s.worker - b.worker, broker: s.broker - b.broker, gateway: s.gateway - b.gateway, harness: s.harness - b.harness,
		machine: procfs.Busy{Worked: s.machine.Worked - b.machine.Worked, Passed: s.machine.Passed - b.machine.Passed},
	}
}

// others is the share of the machine that all other programs took. The counts of
// the machine and of processes are rounded differently, hence the bound.
func (s spending) others() float64 {
	if s.machine.Passed <= 0 {
		return 0
	}
	ours := s.worker + s.broker + s.gateway + s.harness
	return max(0, (s.machine.Worked-ours).Seconds()/s.machine.Passed.Seconds())
}

// measurement is what happened inside the window.
type measurement struct {
	points []stats.Point
	spending
}

func (m measurement) into(t *result.Turn) {
	jobs := float64(m.points[len(m.points)-1].Count - m.points[0].Count)
	perJob := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / jobs }
	t.Rate, t.PlainRate = stats.Rate(m.points), stats.PlainRate(m.points)
	t.WorkerCPU, t.BrokerCPU, t.GatewayCPU = perJob(m.worker), perJob(m.broker), perJob(m.gateway)
	t.Others = m.others()
}
