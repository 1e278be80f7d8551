//go:build unix

package monitoring

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestEveryAlertFiresAndStops is an acceptance test: a real Prometheus scrapes real workers. Each alert fires during its
// fault and stops after it. Each fault has a world of its own, so that all can run
// at the same time.
func TestEveryAlertFiresAndStops(t *testing.T) {
	t.Parallel()
	needs(t, "prometheus")
	calm := startSim(t)
	faults := map[string]func(*testing.T, *world, *prometheus){
		"key": faultKey, "outage": faultOutage, "errors": faultErrors, "deadline": faultDeadline, "letters": faultLetters,
		"full": faultFullLedger, "slow": faultSlow, "pause": faultPause, "broker": faultBroker,
		"passed": faultPassedOver,
	}
	worlds := map[string]*world{}
	var list []*world
	for name := range faults {
		s := calm
		if name == "outage" || name == "errors" {
			s = startSim(t)
		}
		worlds[name] = newWorld(t, name, s)
		list = append(list, worlds[name])
	}
	p := startPrometheus(t, list)
	p.fires("CaptureWorkerAbsent", "") // no worker was started yet
	for _, w := range list {
		if w.name == "passed" {
			w.run("CAPTURE_JOBS_MATCH=currency=EUR")
		} else {
			w.run()
		}
	}
	p.stops("CaptureWorkerAbsent", "")
	for _, w := range list {
		w.jobs(shipped, w.name+"-before", 3)
		w.waitCaptured(3)
	}
	p.quiet()
	t.Run("faults", func(t *testing.T) {
		for name, fault := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				fault(t, worlds[name].within(t), p.within(t))
			})
		}
	})
	p.quiet()
	showsEverything(t, p)
}

// showsEverything checks that each query of the dashboard had a result, except those
// of notifications, which are not sent here.
func showsEverything(t *testing.T, p *prometheus) {
	t.Helper()
	for _, q := range dashboardQueries(t) {
		if q.where != "panel Notifications" && !p.everShown(q.expr) {
			t.Errorf("%s never had a result: %s", q.where, q.expr)
		}
	}
}

// A wrong key pauses the intake; the right one in the key file resumes it.
func faultKey(t *testing.T, w *world, p *prometheus) {
	w.setKey("not-the-right-key-at-all")
	w.worker.Finds("(reloaded gateway secret key)", patience)
	w.jobs(shipped, "key", 20)
	p.fires("CaptureHalted", w.name)
	w.setKey(secret)
	p.stops("CaptureHalted", w.name)
	w.waitCaptured(23)
	if p.firing()["CaptureNotReady "+w.name] {
		t.Error("the pause is logged twice")
	}
}

func faultOutage(_ *testing.T, w *world, p *prometheus) {
	w.sim.post("/_sim/faults", `{"down":"reset"}`)
	w.jobs(shipped, "outage", 60)
	p.fires("CaptureGatewayDown", w.name)
	w.sim.post("/_sim/faults", `{"down":""}`)
	p.stops("CaptureGatewayDown", w.name)
	w.waitCaptured(63)
}

// Six of ten captures are answered with -1000 until the alert fires.
func faultErrors(t *testing.T, w *world, p *prometheus) {
	w.sim.post("/_sim/faults", `{"error_before":0.6}`)
	sent := 3
	processtest.WaitFor(t, patience, "CaptureGatewayErrors to fire", func() bool {
		w.jobs(shipped, fmt.Sprintf("errors-%d", sent), 5)
		sent += 5
		return p.firing()["CaptureGatewayErrors "+w.name]
	})
	w.sim.post("/_sim/faults", `{}`)
	p.stops("CaptureGatewayErrors", w.name)
	w.waitCaptured(sent)
}

// The gateway returns processing for an old authorization for a while.
func faultDeadline(_ *testing.T, w *world, p *prometheus) {
	script := `"error_before"`
	for range 30 {
		script += `,{"on":"query","state":"processing"}`
	}
	w.sim.post("/_sim/trades", `{"trade_id":"old","amount":"24.99","currency":"EUR","script":[`+script+`]}`)
	j := plainJob("old")
	j.AuthorizedAt = time.Now().Add(12*time.Hour - capture.AuthorizationWindow).UTC()
	w.send(shipped, j)
	p.fires("CaptureAuthorizationsExpiring", w.name)
	p.stops("CaptureAuthorizationsExpiring", w.name)
	w.waitCaptured(4)
}

// A message that is not a job, and a trade that was refunded.
func faultLetters(_ *testing.T, w *world, p *prometheus) {
	w.sim.post("/_sim/trades", `{"trade_id":"back","amount":"24.99","currency":"EUR","state":"refunded"}`)
	w.send(shipped, map[string]string{"hello": "world"})
	w.send(shipped, plainJob("back"))
	p.fires("CaptureDeadLettersGrowing", w.name)
	p.fires("CaptureParkedGrowing", w.name)
	p.stops("CaptureDeadLettersGrowing", w.name)
	p.stops("CaptureParkedGrowing", w.name)
	// They wait for an operator.
	p.fires("CaptureDeadLettersWaiting", w.name)
	p.fires("CaptureParkedWaiting", w.name)
	w.command("parked", "dismiss", "back", "--reason", "test", "--by", "test")
	w.sim.post("/_sim/trades", `{"trade_id":"bad","amount":"24.99","currency":"EUR"}`)
	w.command("dlq", "republish", "1", "--fixed", fixed(w.t), "--reason", "test", "--by", "test")
	p.stops("CaptureDeadLettersWaiting", w.name)
	p.stops("CaptureParkedWaiting", w.name)
}

// A publisher begins to write another letter case, and goes back to the old one.
func faultPassedOver(t *testing.T, w *world, p *prometheus) {
	w.jobs(shipped, "usual", 200)
	w.waitCaptured(200)
	odd := plainJob("odd")
	odd.Currency = "Eur"
	const every = 200 * time.Millisecond // enough in a window, and few beside the usual ones
	sent, begin := 0, time.Now()
	fires := func() bool {
		for ; time.Duration(sent)*every < time.Since(begin); sent++ {
			w.send(shipped, odd)
		}
		firing := p.firing()
		return firing["CapturePassedOverTrade "+w.name] && firing["CapturePassedOverShare "+w.name]
	}
	processtest.WaitFor(t, patience, "both alerts about passed-over messages to fire", fires)
	p.stops("CapturePassedOverTrade", w.name)
	p.stops("CapturePassedOverShare", w.name)
}

func faultFullLedger(t *testing.T, w *world, p *prometheus) {
	setLimit := func(most int64) {
		stream, err := w.js.Stream(t.Context(), "CAPTURES")
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.MaxMsgs = most
		if _, err := w.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	setLimit(6) // the number of messages in it
	w.jobs(shipped, "full", 5)
	p.fires("CaptureLedgerAppendsFailing", w.name)
	setLimit(-1)
	p.stops("CaptureLedgerAppendsFailing", w.name)
	w.waitCaptured(8)
}

// A rate limit that is far too low: jobs wait, and none completes for long.
func faultSlow(_ *testing.T, w *world, p *prometheus) {
	w.worker.Stop(patience)
	w.run("CAPTURE_GATEWAY_RATE=0.02", "CAPTURE_WORKER_CONCURRENCY=1")
	w.jobs(shipped, "slow", 300)
	p.fires("CaptureNoProgress", w.name)
	w.worker.Stop(patience)
	w.run()
	p.stops("CaptureNoProgress", w.name)
	w.waitCaptured(303)
}

// faultPause pauses and resumes a lane from the command line.
func faultPause(t *testing.T, w *world, p *prometheus) {
	w.command("lane", "pause", "all", "--for", "1h", "--reason", "test")
	w.jobs(shipped, "pause", 20)
	p.fires("CaptureLanePaused", w.name)
	if n := w.captured(); n != 3 {
		t.Errorf("%d trades were captured through a paused lane", n-3)
	}
	if p.firing()["CaptureNoProgress "+w.name] {
		t.Error("an alert fires for a lane that an operator has paused")
	}
	w.command("lane", "resume", "all", "--reason", "test")
	w.waitCaptured(23)
	p.stops("CaptureLanePaused", w.name)
}

func faultBroker(t *testing.T, w *world, p *prometheus) {
	w.broker.Shutdown()
	p.fires("CaptureNotReady", w.name)
	w.startBroker()
	p.stops("CaptureNotReady", w.name)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	processtest.WaitFor(t, patience, "the stream to be back", func() bool {
		_, err := w.js.Stream(ctx, "CAPTURE_JOBS")
		return err == nil
	})
	w.jobs(shipped, "broker", 5)
	w.waitCaptured(8)
}
