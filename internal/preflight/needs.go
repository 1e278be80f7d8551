package preflight

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/subject"
	"github.com/capture-worker/capture-worker/ledger"
)

// Role is what a NATS user is for.
type Role string

// The roles, as docs/operations.md lists their permissions.
const (
	ForWorker   Role = "worker"   // run
	ForOperator Role = "operator" // the other commands
)

// need is a permission that a user needs for one purpose.
type need struct {
	listen   bool     // to subscribe, not to publish
	subjects []string // may have wildcards: all matching subjects
	all      string   // how to name them together
	purpose  string
	spare    bool // not needed for reading
	reply    bool // the subjects are for replies to jobs
}

// releasedSubject is the default subject of `parked release`.
const releasedSubject = "capture.jobs.released"

// WithdrawSubject is the default subject of `withdraw --order`.
const WithdrawSubject = "capture.withdrawals.operator"

// controlSubject is where values of the control bucket are published.
const controlSubject = "$KV." + controls.Bucket + ".>"

// needs builds the list for one configuration.
type needs struct {
	list []need
	api  string // prefix of the JetStream API, with a dot
}

func (n *needs) publish(purpose string, subjects ...string) *need {
	n.list = append(n.list, need{subjects: subjects, purpose: purpose})
	return &n.list[len(n.list)-1]
}

// call is publish for calls of the JetStream API.
func (n *needs) call(purpose string, calls ...string) *need {
	for i := range calls {
		calls[i] = n.api + calls[i]
	}
	return n.publish(purpose, calls...)
}

// apiOf is the prefix of the JetStream API, with a dot.
func apiOf(js jetstream.JetStream) string {
	if prefix := js.Options().APIPrefix; prefix != "" {
		return strings.TrimSuffix(prefix, ".") + "."
	}
	return "$JS.API."
}

// needs returns what the role needs with this configuration. Permission to create
// streams and consumers is needed only for those that are missing.
func (c *Checker) needs(nc *nats.Conn, js jetstream.JetStream) []need {
	n := &needs{api: apiOf(js)}
	inbox := strings.TrimSuffix(nc.NewInbox(), ".")
	inbox = inbox[:strings.LastIndex(inbox, ".")]
	n.list = append(n.list, need{listen: true, subjects: []string{inbox + ".*", inbox + ".*.*"}, all: inbox + ".>", purpose: "receive replies of the broker"})
	jobs, book, cases := c.Streams.Jobs, c.Config.Ledger.Stream, c.Config.Ledger.Cases
	var info []string
	for _, name := range c.streamNames() {
		info = append(info, "STREAM.INFO."+name)
	}
	n.call("find the streams", info...)
	n.call("read what operators accept", "DIRECT.GET."+controls.Stream+".>")
	n.call("read the ledger", "STREAM.MSG.GET."+book, "DIRECT.GET."+book)
	n.call("find the trades that need an operator", "STREAM.MSG.GET."+cases, "DIRECT.GET."+cases)
	for _, wanted := range c.Streams.Consumers {
		n.call("find consumer "+wanted.Name, "CONSUMER.INFO."+jobs+"."+wanted.Name)
	}
	if w := c.Streams.Withdrawals; w.Stream != "" {
		n.call("find consumer "+w.Consumer, "CONSUMER.INFO."+w.Stream+"."+w.Consumer)
	}
	if c.For == ForOperator {
		c.operatorNeeds(n)
	} else {
		c.workerNeeds(n)
	}
	return n.list
}

// streamNames lists the streams that run finds or creates.
func (c *Checker) streamNames() []string {
	names := []string{c.Config.Ledger.Stream, c.Config.Ledger.Cases}
	for _, s := range jobstream.Streams(c.Streams) {
		names = append(names, s.Config.Name)
	}
	return append(names, controls.Stream)
}

func (c *Checker) workerNeeds(n *needs) {
	jobs := c.Streams.Jobs
	for _, stream := range c.streamNames() {
		if c.isAbsent("stream " + stream) {
			n.call("create stream "+stream+": there is none yet", "STREAM.CREATE."+stream)
		}
	}
	if c.noLedger {
		n.call("check that no job was delivered before the ledger is created", "CONSUMER.LIST."+jobs)
	}
	for _, wanted := range c.Streams.Consumers {
		if c.isAbsent("stream "+jobs) || c.isAbsent("consumer "+wanted.Name) {
			n.call("create consumer "+wanted.Name+": there is none yet", "CONSUMER.CREATE."+jobs+"."+wanted.Name)
		}
		n.take("jobs", jobs, wanted.Name)
	}
	c.withdrawalNeeds(n)
	n.call("check at the start that the ledger holds the newest jobs", "STREAM.MSG.GET."+jobs, "DIRECT.GET."+jobs)
	n.publish("record that the ledger has lost events, and which messages were passed over", controlSubject)
	c.events(n, "append events; without them nothing is captured", capture.Attempted, capture.Answered,
		capture.Queried, capture.Notified, capture.Withdrawn, capture.Captured, capture.Failed, capture.Parked)
	letters := n.publish("dead-letter jobs")
	letters.all = deadletter.SubjectPrefix + ">"
	for _, reason := range deadletter.Reasons() {
		letters.subjects = append(letters.subjects, deadletter.SubjectPrefix+reason)
	}
}

// take is what a consumer of jobs or withdrawals needs.
func (n *needs) take(noun, stream, consumer string) {
	n.call("take "+noun, "CONSUMER.MSG.NEXT."+stream+"."+consumer)
	// Five numbers follow the names.
	ack := "$JS.ACK." + stream + "." + consumer
	need := n.publish("ack "+noun+"; without it each is redelivered", ack+".*.*.*.*.*")
	need.all, need.reply = ack+".>", true
}

// withdrawalNeeds is what a worker needs to take withdrawals, and to know those that
// name an order.
func (c *Checker) withdrawalNeeds(n *needs) {
	w := c.Streams.Withdrawals
	if w.Stream == "" {
		return
	}
	if c.isAbsent("stream "+w.Stream) || c.isAbsent("consumer "+w.Consumer) {
		n.call("create consumer "+w.Consumer+": there is none yet", "CONSUMER.CREATE."+w.Stream+"."+w.Consumer)
	}
	n.take("withdrawals", w.Stream, w.Consumer)
	n.call("follow the withdrawals", "CONSUMER.CREATE."+w.Stream+".*", "CONSUMER.CREATE."+w.Stream+".*.>",
		"CONSUMER.DELETE."+w.Stream+".*", "CONSUMER.MSG.NEXT."+w.Stream+".*")
}

func (c *Checker) events(n *needs, purpose string, types ...capture.EventType) *need {
	need := n.publish(purpose)
	need.all = ledger.TradeFilter("*")
	for _, t := range types {
		need.subjects = append(need.subjects, ledger.Subject("*", t))
	}
	return need
}

func (c *Checker) operatorNeeds(n *needs) {
	jobs, book, dlq := c.Streams.Jobs, c.Config.Ledger.Stream, c.Streams.DLQ
	n.call("read waiting jobs (`show`)", "STREAM.MSG.GET."+jobs, "DIRECT.GET."+jobs)
	n.call("read dead letters", "STREAM.MSG.GET."+dlq, "DIRECT.GET."+dlq)
	n.call("read operators' acts (`acts list`)", "STREAM.MSG.GET."+c.Config.Jobs.ActsStream, "DIRECT.GET."+c.Config.Jobs.ActsStream)
	for _, stream := range []string{book, dlq} {
		n.call("walk stream "+stream, "CONSUMER.CREATE."+stream+".*", "CONSUMER.CREATE."+stream+".*.>", "CONSUMER.DELETE."+stream+".*", "CONSUMER.MSG.NEXT."+stream+".*")
	}
	first := len(n.list)
	c.events(n, "append events (`parked`, `retry`, `withdraw`, `reconcile --write`)",
		capture.Released, capture.Retried, capture.Withdrawn, capture.Dismissed, capture.Captured, capture.Failed, capture.Parked)
	n.publish("record what is accepted (`resume`)", controlSubject)
	own := n.publish("record what operators do (`lane`, `publish`, `resume`)", acts.SubjectPrefix+string(acts.Pause), acts.SubjectPrefix+string(acts.Resume), acts.SubjectPrefix+string(acts.Publish))
	own.all = acts.SubjectPrefix + ">"
	n.publish("record resolutions (`dlq republish`, `dlq dismiss`)", deadletter.RepublishedSubject+"*", deadletter.DismissedSubject+"*")
	n.publish("send jobs (`publish`, `dlq republish`)", slices.Clone(c.Streams.Subjects)...)
	if slices.ContainsFunc(c.Streams.Subjects, func(s string) bool { return subject.Covers(s, releasedSubject) }) {
		n.publish("send jobs again (`parked release`)", releasedSubject)
	}
	if slices.ContainsFunc(c.Streams.Withdrawals.Subjects, func(s string) bool { return subject.Covers(s, WithdrawSubject) }) {
		n.publish("withdraw an order (`withdraw --order`)", WithdrawSubject)
	}
	for _, wanted := range c.Streams.Consumers {
		n.call("pause and resume (`lane`)", "CONSUMER.PAUSE."+jobs+"."+wanted.Name)
	}
	for i := range n.list[first:] {
		n.list[first+i].spare = true
	}
}
