package config

import (
	"net/url"

	"github.com/capture-worker/capture-worker/capture"
)

// JobMapping returns how jobs are decoded: where their fields are, which events are
// jobs, and which hosts their own notify_url may name.
func (c Config) JobMapping() capture.Mapping {
	return capture.Mapping{Fields: c.Jobs.Fields, Match: c.Jobs.Match, NotifyHosts: c.notifyHosts()}
}

// WithdrawalMapping returns how withdrawals are decoded. Without a mapping of their
// own they name trade and order as the jobs do.
func (c Config) WithdrawalMapping() capture.Mapping {
	fields := c.Withdrawals.Fields
	for _, name := range []string{"trade_id", "order_id"} {
		if f, mapped := c.Jobs.Fields[name]; mapped && len(c.Withdrawals.Fields) == 0 {
			if fields == nil {
				fields = map[string]capture.Field{}
			}
			fields[name] = f
		}
	}
	return capture.Mapping{Fields: fields, Match: c.Withdrawals.Match}
}

// WithdrawalConsumer returns the name of the durable consumer of the withdrawals,
// which the workers share.
func (c Config) WithdrawalConsumer() string { return c.Jobs.Consumer + "-withdrawals" }

// SaysMapping reports whether the configuration says how jobs are decoded: a file was
// read, or jobs.fields or jobs.match are set. If not, the workers' may differ.
func (c Config) SaysMapping() bool {
	return c.fromFile || c.Origin("jobs.fields").From != FromDefault || c.Origin("jobs.match").From != FromDefault
}

// notifyHosts returns nil, which allows any host, only if nothing is configured for
// capture calls: a publisher of jobs does not know then what the workers allow.
func (c Config) notifyHosts() []string {
	g := c.Gateway
	switch {
	case len(g.NotifyHosts) > 0:
		return g.NotifyHosts
	case g.NotifyURL != "":
		u, err := url.Parse(g.NotifyURL)
		if err != nil {
			return []string{}
		}
		return []string{u.Hostname()}
	case g.AllowEmptyNotifyURL:
		return []string{}
	}
	return nil
}
