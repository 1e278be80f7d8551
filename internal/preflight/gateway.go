package preflight

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/finding"
)

// How far clocks may differ. Leases and settle times are written by one worker
// and read by another; a lease leaves five seconds for that.
const (
	clockWarning = time.Second
	clockError   = 5 * time.Second
	// The gateway's Date header counts whole seconds and may be a proxy's.
	gatewayClock = 10 * time.Second
)

// gateway asks Order Query about a trade that does not exist.
func (c *Checker) gateway(ctx context.Context) {
	if c.Query == nil {
		c.add(finding.Error, "gateway", "set CAPTURE_GATEWAY_URL, CAPTURE_GATEWAY_USER and CAPTURE_GATEWAY_SECRET_KEY_FILE", "%v", c.Missing)
		return
	}
	a := c.Query(ctx, capture.ProbeTradeID)
	took := a.Latency.Round(time.Millisecond)
	address := c.Config.Gateway.URL
	switch {
	case a.NoSuchTrade():
		c.add(finding.OK, "gateway", "", "%s answers in %s: credentials accepted", address, took)
	case a.Kind == capture.AnswerDone:
		c.add(finding.OK, "gateway", "", "%s answers in %s: credentials accepted; it knows a trade %s", address, took, capture.ProbeTradeID)
	case a.Code == capture.CodeSignature:
		c.add(finding.Error, "gateway", "correct gateway.secret_key: it is the key of the cashier account gateway.user, without spaces or line ends",
			"signature error (-403): the gateway rejects our key; a worker would stop taking jobs")
	case a.Code == capture.CodeUser:
		c.add(finding.Error, "gateway", "correct gateway.user, the UID of the cashier account, or the address if it belongs to another environment",
			"the user %q does not exist (-2001) at %s; a worker would stop taking jobs", c.Config.Gateway.User, address)
	case a.Kind == capture.AnswerNotSent:
		c.add(finding.Error, "gateway", "correct gateway.url, or open the way to it (name, route, firewall, certificate)", "%s cannot be reached: %s", address, a.Why)
		return
	case a.Code == capture.CodeInternal:
		c.add(finding.Warning, "gateway", "run check again; if it stays so, ask the gateway's support, naming the response",
			"internal error (-1000) of the gateway, response %s: it answers, but whether it accepts our key is unknown", orNone(a.ResponseID))
	case a.HTTPStatus == 0:
		c.add(finding.Error, "gateway", "the gateway or the path to it (proxy, firewall, network) has a fault; run check again, and ask the gateway's support if it stays so",
			"%s is reached, but gives %s", address, a.Why)
	default:
		c.add(finding.Error, "gateway", "see whether gateway.url is the gateway's Payments endpoint, and no proxy answers in its place",
			"no usable answer from %s: %s", address, a.Why)
	}
	c.gatewayDate(ctx)
	c.plainHTTP()
}

func orNone(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}

// plainHTTP warns if answers can be forged in transit.
func (c *Checker) plainHTTP() {
	u, err := url.Parse(c.Config.Gateway.URL)
	if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		c.add(finding.Warning, "gateway", "use https, unless this is a simulator", "calls go to %s in plain text: answers can be forged on the way", u.Host)
	}
}

// gatewayDate compares our clock with the one of the gateway: it is in what we
// sign. The request carries nothing.
func (c *Checker) gatewayDate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(c.Config.Gateway.Timeout, stepTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.Config.Gateway.URL, nil)
	if err != nil {
		return
	}
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	before := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return // the finding of the query covers it
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	if off := ahead(date, before, time.Now()).Round(time.Second); off.Abs() >= gatewayClock {
		c.add(finding.Warning, "clock", "set the clock by NTP; the gateway may refuse calls with a wrong time as a signature error",
			"our clock and the gateway's differ by %s", off.Abs())
	} else {
		c.add(finding.OK, "clock", "", "agrees with the gateway's to the second")
	}
}

// brokerClock compares our clock with the NATS server's.
func (c *Checker) brokerClock(stamp, before time.Time) {
	if stamp.IsZero() {
		return
	}
	off := ahead(stamp, before, time.Now())
	const do = "set both clocks by NTP: leases and settle times are compared between machines"
	switch {
	case off.Abs() >= clockError:
		c.add(finding.Error, "clock", do, "our clock and the NATS server's differ by %s", off.Abs().Round(time.Millisecond))
	case off.Abs() >= clockWarning:
		c.add(finding.Warning, "clock", do, "our clock and the NATS server's differ by %s", off.Abs().Round(time.Millisecond))
	default:
		c.add(finding.OK, "clock", "", "agrees with the NATS server's within %s", max(off.Abs(), time.Millisecond).Round(time.Millisecond))
	}
}

// ahead returns the difference between our clock and one that was read between
// before and after, zero if it lies between them.
func ahead(stamp, before, after time.Time) time.Duration {
	switch {
	case stamp.Before(before):
		return stamp.Sub(before)
	case stamp.After(after):
		return stamp.Sub(after)
	}
	return 0
}
