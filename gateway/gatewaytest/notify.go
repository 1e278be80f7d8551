package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

const (
	notifyWorkers = 8
	notifyQueue   = 4096
	notifyTries   = 6
	notifyTimeout = 5 * time.Second
)

// notifier POSTs notifications with a fixed number of workers.
type notifier struct {
	s      *Simulator
	queue  chan *notice
	client *http.Client
	ctx    context.Context
	cancel context.CancelFunc
}

// notice is one notification to be sent.
type notice struct {
	a           *account
	sent        *Sent // guarded by a.mu
	url         string
	contentType string
	body        []byte
	tries       int
}

func newNotifier(s *Simulator) *notifier {
	ctx, cancel := context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: notifyTimeout, Control: loopbackOnly}
	n := &notifier{
		s: s, queue: make(chan *notice, notifyQueue), ctx: ctx, cancel: cancel,
		client: &http.Client{
			Timeout:   notifyTimeout,
			Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: notifyWorkers},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
	for range notifyWorkers {
		if s.life.enter() {
			go n.work()
		}
	}
	return n
}

// errNotLoopback is the reason for a notification that is not sent.
var errNotLoopback = errors.New("the simulator notifies loopback addresses only")

// loopbackOnly checks the address that is dialed, after the name was resolved.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return errNotLoopback
	}
	return nil
}

// checkNotifyURL returns an error for a URL that is not on this machine.
func checkNotifyURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("notify_url is not an http URL")
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errNotLoopback
	}
	return nil
}

func (n *notifier) work() {
	defer n.s.life.running.Done()
	for {
		select {
		case <-n.ctx.Done():
			return
		case notice := <-n.queue:
			if n.s.known(notice.a) {
				n.send(notice)
			}
		}
	}
}

func (n *notifier) enqueue(v *notice) {
	select {
	case n.queue <- v:
	default:
		n.s.stats.dropped.Add(1)
	}
}

func (n *notifier) later(d time.Duration, v *notice) {
	if d <= 0 {
		n.enqueue(v)
	} else if !n.s.life.after(d, func() { n.enqueue(v) }) {
		n.s.stats.dropped.Add(1)
	}
}

// send makes one try, and schedules the next one unless the reply was ok.
func (n *notifier) send(v *notice) {
	v.tries++
	n.s.stats.notifications.Add(1)
	err := n.post(v)
	v.a.mu.Lock()
	v.sent.Tries++
	v.sent.At = n.s.opts.Clock()
	v.sent.Delivered = v.sent.Delivered || err == nil
	v.sent.Problem = ""
	if err != nil {
		v.sent.Problem = err.Error()
	}
	v.a.mu.Unlock()
	if err != nil && v.tries < notifyTries && n.ctx.Err() == nil {
		n.later(n.s.opts.Timing.NotifyRetry<<(v.tries-1), v)
	}
}

func (n *notifier) post(v *notice) error {
	req, err := http.NewRequestWithContext(n.ctx, http.MethodPost, v.url, bytes.NewReader(v.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", v.contentType)
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(reply)) != "ok" {
		return fmt.Errorf("the reply was not ok: HTTP %d", resp.StatusCode)
	}
	return nil
}

// plan schedules a notification of the trade's state, and records it in the truth. The
// account is locked.
func (r *captureRun) plan(kind string, state capture.OrderState, amount capture.Amount, delay time.Duration) {
	ordinal := r.a.sentTotal
	d := newDice(r.s.opts.Seed, r.a.trade.TradeID, OnNotify, ordinal)
	form := r.s.opts.NotifyForm
	if form == AnyForm {
		form = forms[d.pick(saltForm, len(forms))]
	}
	secret := *r.s.secret.Load()
	if kind == string(NotifyForged) {
		secret += " of a forger"
	}
	sent := &Sent{At: r.now, Kind: kind, State: state, Form: form}
	r.a.sentTotal++
	r.a.sent = keepLast(r.a.sent, sent)
	v := &notice{a: r.a, sent: sent, url: r.call.Data["notify_url"]}
	if err := checkNotifyURL(v.url); err != nil {
		sent.Problem = err.Error()
		r.s.stats.refusedNotify.Add(1)
		return
	}
	v.contentType, v.body = notifyBody(form, r.s.rendering(d), secret, r.notifiedMembers(state, amount, d))
	r.s.notify.later(delay, v)
}

// paidTime returns when the trade was or will be paid. The account is locked.
func (r *captureRun) paidTime() time.Time {
	for _, c := range slices.Backward(r.a.changes) {
		if c.state == capture.OrderPaid {
			return c.at
		}
	}
	return r.now
}

// announce schedules the notifications of a capture that has taken effect and is paid
// after paidAfter.
func (r *captureRun) announce(amount capture.Amount, paidAfter time.Duration) {
	if r.call.Data["notify_url"] == "" {
		return
	}
	timing := r.s.opts.Timing
	delay, kind := timing.NotifyDelay, r.dice.fault(r.faults, OnNotify, saltNotify)
	name := string(kind)
	switch kind {
	case NotifyLost:
		return
	case NoFault:
		name = "status"
	case NotifyEarly:
		delay, r.early = 0, true
	case NotifyLate:
		delay = timing.NotifyLateBy
	}
	if paidAfter > 0 {
		r.plan(name, capture.OrderPending, amount, delay)
	}
	r.plan(name, capture.OrderPaid, amount, delay+paidAfter)
	switch kind {
	case NotifyTwice:
		r.plan(name, capture.OrderPaid, amount, 2*delay+paidAfter)
	case NotifyOutOfOrder:
		r.plan(name, capture.OrderPending, amount, 2*delay+paidAfter)
	}
}

// forge schedules a forged notification: failed for a captured trade, paid for one that
// is not captured.
func (r *captureRun) forge() {
	if r.call.Data["notify_url"] == "" || r.dice.unit(saltForged) >= r.faults[NotifyForged] {
		return
	}
	lie := capture.OrderPaid
	if len(r.a.captures) > 0 {
		lie = capture.OrderFailed
	}
	r.plan(string(NotifyForged), lie, r.a.trade.Amount, r.s.opts.Timing.NotifyDelay)
}

var forms = []Form{FormObject, FormField, FormEncoded, FormDotted}

// likelyRenderings are the ways of signing that the gateway's library and known
// integrations use.
var likelyRenderings = []string{"library", "library_without_empty", "merged_without_empty"}

// The salts of the random choices of a notification.
const (
	saltRendering = 100 + iota
	saltNested
	saltNumber
	saltEmpty
)

func (s *Simulator) rendering(d dice) string {
	if s.opts.NotifyRendering != "" {
		return s.opts.NotifyRendering
	}
	return likelyRenderings[d.pick(saltRendering, len(likelyRenderings))]
}

// notifyBody returns a body in one of the forms, signed with the secret.
func notifyBody(form Form, rendering string, secret gateway.Secret, members map[string]any) (contentType string, body []byte) {
	data := encode(members)
	sign, err := gateway.SignNotification(secret, rendering, data)
	if err != nil {
		panic(err) // the rendering is checked by Options.Validate, and data is an object
	}
	object := encode(map[string]any{"sign": sign, "data": json.RawMessage(data)})
	switch form {
	case FormDotted:
		return "text/plain", append([]byte(sign+"."), data...)
	case FormField:
		return "application/x-www-form-urlencoded", []byte("resultData=" + url.QueryEscape(string(object)))
	case FormEncoded:
		return "application/x-www-form-urlencoded", []byte(url.QueryEscape(string(object)))
	}
	return "application/json", object
}

// notifiedMembers returns the members of a notification. Times are Unix seconds in
// strings. Some notifications have an amount as a number, a nested object, or members
// that are empty in PHP.
func (r *captureRun) notifiedMembers(state capture.OrderState, amount capture.Amount, d dice) map[string]any {
	trade := r.a.trade
	m := map[string]any{
		"type": "payment", "user": r.s.opts.User, "order_id": orderID(trade.TradeID), "trade_id": trade.TradeID,
		"transaction_id": "tx" + orderID(trade.TradeID), "amount": shownAmount(amount, d), "currency": amount.Currency(),
		"state": string(state), "createDate": unixText(trade.AuthorizedAt),
	}
	if state == capture.OrderPaid {
		m["paid_time"] = unixText(r.paidTime())
	}
	if d.pick(saltNumber, 4) == 0 {
		m["amount"] = json.Number(strings.TrimSuffix(strings.TrimRight(amount.Number(), "0"), "."))
		if !strings.Contains(amount.Number(), ".") {
			m["amount"] = json.Number(amount.Number())
		}
	}
	if d.pick(saltNested, 3) == 0 {
		m["3ds"] = map[string]any{"3ds_status": "Y", "3ds_trxid": trade.TradeID, "3ds_version": ""}
	}
	switch d.pick(saltEmpty, 5) {
	case 0:
		m["tip_amount"] = "0"
	case 1:
		m["tip_amount"], m["amount_cny"] = 0, nil
	case 2:
		m["description"], m["demo"] = "", false
	}
	return m
}
