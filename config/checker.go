package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/subject"
)

// checker collects the problems of one configuration. Its methods are the rules
// that apply to more than one key.
type checker struct {
	c        Config
	problems Problems
}

func (v *checker) text(key string) string {
	k, _ := keyNamed(key)
	return k.Text(v.c)
}

// add adds a problem with the current value of the key. An unset secret or text
// shows no value and, if it was not set, no origin.
func (v *checker) add(key, wrong, fix string) {
	k, ok := keyNamed(key)
	if !ok {
		panic("config: no key " + key)
	}
	value, from := "", ""
	if !k.Secret {
		value = k.Text(v.c)
	}
	if o := v.c.Origin(key); value != "" || o.From != FromDefault {
		from = o.String()
	}
	v.problems = append(v.problems, problem(key, value, from, wrong, fix))
}

func (v *checker) notEmpty(key string) {
	if v.text(key) == "" {
		v.add(key, "must not be empty", "")
	}
}

func (v *checker) between(key string, n, least, most int) {
	if n < least || n > most {
		v.add(key, fmt.Sprintf("must be from %d to %d", least, most), "")
	}
}

func (v *checker) atLeast(key string, d, least time.Duration) {
	if d < least {
		v.add(key, "must be at least "+FormatDuration(least), "")
	}
}

func (v *checker) above(key string, d, limit time.Duration) {
	if d <= limit {
		v.add(key, "must be above "+FormatDuration(limit), "")
	}
}

func (v *checker) notAbove(key string, d time.Duration, other string, most time.Duration) {
	if d > most {
		v.add(key, "must not be above "+other+" ("+FormatDuration(most)+")", "raise "+other+" or lower "+key)
	}
}

func (v *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		v.add(key, "must be "+strings.Join(allowed[:last], ", ")+" or "+allowed[last], "")
	}
}

// onlyOne finds the first pair of keys that are both set.
func (v *checker) onlyOne(keys ...string) {
	var set []string
	for _, key := range keys {
		if v.text(key) != "" {
			set = append(set, key)
		}
	}
	if len(set) > 1 {
		v.add(set[0], "is a credential, but "+strings.Join(set[1:], " and ")+" is set too", "keep one of them")
	}
}

// together finds a key whose partner is missing.
func (v *checker) together(a, b string) {
	if (v.text(a) == "") == (v.text(b) == "") {
		return
	}
	if v.text(a) == "" {
		a, b = b, a
	}
	v.add(a, "needs "+b+" too", "set both or none")
}

func (v *checker) distinct(keys ...string) {
	for i, a := range keys {
		for _, b := range keys[:i] {
			if v.text(a) == v.text(b) {
				v.add(a, "is the same as "+b, "use different streams")
			}
		}
	}
}

// streamName checks the rule of NATS for names of streams and consumers.
func (v *checker) streamName(key string) {
	name := v.text(key)
	if name == "" || len(name) > 255 || strings.ContainsAny(name, ".*>/\\") || strings.ContainsFunc(name, notInNames) {
		v.add(key, "must be a name without spaces and without any of . * > / \\", "")
	}
}

func notInNames(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

func (v *checker) subject(key, name string) {
	tokens := strings.Split(name, ".")
	for i, token := range tokens {
		bad := token == "" || strings.ContainsFunc(token, notInNames)
		wildcard := strings.ContainsAny(token, "*>")
		lone := token == "*" || (token == ">" && i == len(tokens)-1)
		if bad || (wildcard && !lone) {
			v.add(key, fmt.Sprintf("%q is not a NATS subject", cut(name)), "write tokens with dots between, such as orders.shipped or capture.jobs.>")
			return
		}
	}
	for _, ours := range []string{"captures.>", "capture.dlq.>"} {
		if subject.Overlap(name, ours) {
			v.add(key, fmt.Sprintf("%q also matches what is written to %s", cut(name), ours), "name only the subjects of the jobs, such as capture.jobs.>")
		}
	}
}

// prefix checks the first tokens of subjects.
func (v *checker) prefix(key, prefix string) {
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || strings.ContainsAny(token, "*>") || strings.ContainsFunc(token, notInNames) {
			v.add(key, fmt.Sprintf("%q is not the beginning of a NATS subject", cut(prefix)), "write tokens with dots between, without wildcards, such as _INBOX_worker")
			return
		}
	}
}

// mapping checks jobs.fields and jobs.match with the decoder of jobs, each alone
// first, so that the message names the right one.
func (v *checker) mapping() {
	j := v.c.Jobs
	before := len(v.problems)
	v.mappingIs("jobs.fields", capture.Mapping{Fields: j.Fields})
	v.mappingIs("jobs.match", capture.Mapping{Match: j.Match})
	if len(v.problems) == before {
		v.mappingIs("jobs.match", capture.Mapping{Fields: j.Fields, Match: j.Match})
	}
}

func (v *checker) mappingIs(key string, m capture.Mapping) {
	if _, err := capture.NewDecoder(m); err != nil {
		v.mappingFault(key, err)
	}
}

func (v *checker) mappingFault(key string, err error) {
	text := strings.TrimPrefix(err.Error(), capture.ErrMapping.Error()+": ")
	v.add(key, strings.TrimPrefix(text, key+": "), "")
}

// sums reads a limit for each currency as the commands do.
func (v *checker) sums(key string, limits map[string]string) {
	for _, code := range slices.Sorted(maps.Keys(limits)) {
		if _, err := capture.ParseAmount(limits[code], strings.ToUpper(code)); err != nil {
			v.add(key, fmt.Sprintf("%s=%s is no sum: %s", cut(code), cut(limits[code]), strings.TrimPrefix(err.Error(), capture.ErrAmount.Error()+": ")),
				"write currency=amount, such as EUR=10000")
		}
	}
}

// plainHTTP checks the rule of the gateway client, with the name of the key.
func (v *checker) plainHTTP() {
	u, err := url.Parse(v.c.Gateway.URL)
	if err != nil || u.Scheme != "http" || v.c.Gateway.AllowPlainHTTP {
		return
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Hostname() != "localhost" && !ip.Unmap().IsLoopback() {
		v.add("gateway.url", "is plain http to another machine: others may read and forge what is sent", "use https://, or set gateway.allow_plain_http for a simulator")
	}
}

// notifyURL checks the address that is sent with capture calls.
func (v *checker) notifyURL() {
	text := v.c.Gateway.NotifyURL
	if text == "" {
		return
	}
	u, err := capture.ReadNotifyURL(text)
	switch {
	case err != nil:
		v.add("gateway.notify_url", err.Error(), "")
	case u.Fragment != "":
		v.add("gateway.notify_url", "must not hold a # part", "")
	case capture.SignsAsSeveral(text):
		v.add("gateway.notify_url", "holds an & with the name of a parameter of the gateway's call behind it, which the signature could not tell from that parameter", "rename the parameter of your address")
	}
}

// host checks that a key holds names of hosts or addresses, without port and path.
func (v *checker) host(key, host string) {
	u, err := url.Parse("https://" + host)
	ip, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	if !ip.IsValid() && (err != nil || u.Host != host || u.Hostname() != host || strings.ContainsFunc(host, notInNames) || strings.Contains(host, "*")) {
		v.add(key, fmt.Sprintf("%q is not the name of a host", cut(host)), "write only names, such as shop.example, without https://, port and path")
	}
}

func (v *checker) serverList(key, list string) {
	for server := range strings.SplitSeq(list, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			v.add(key, "must be addresses such as nats://host:4222 or tls://host:4222, separated by commas", "")
			return
		}
	}
}

// webAddress checks that a key holds a full URL; like describes one.
func (v *checker) webAddress(key, text, like string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		v.add(key, "must be a full URL "+like, "")
	case u.User != nil:
		v.add(key, "must not hold a user or a password", "")
	case u.Fragment != "":
		v.add(key, "must not hold a # part", "")
	}
}

func (v *checker) address(key, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n > 65535 || strings.ContainsFunc(host, notInNames) {
		v.add(key, "must be host:port or :port, with a port from 0 to 65535", "leave it empty or write off for none")
	}
}

// maxWorkerName limits the name: it is in every event of the ledger.
const maxWorkerName = 128

func (v *checker) workerName() {
	name := v.c.Worker.Name
	if name == "" || len(name) > maxWorkerName || strings.ContainsFunc(name, notInNames) {
		v.add("worker.name", fmt.Sprintf("must be 1 to %d printable characters without spaces", maxWorkerName), "")
	}
}
