package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

const (
	// userInfo is the request for the permissions of one's own user, since 2.10.
	userInfo = "$SYS.REQ.USER.INFO"
	// userInfoWait is short: a server that does not permit the request does not
	// answer it.
	userInfoWait = 2 * time.Second
	listed       = "see Permissions in docs/operations.md"
)

// permissions compares the permissions of our NATS user with what the role needs:
// some subjects are first used by the first dead letter.
func (c *Checker) permissions(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) {
	mine, err := ownPermissions(ctx, nc)
	switch {
	case errors.Is(err, errNotReported):
		c.add(finding.OK, "nats", "", "could not read the permissions of this user: %v", err)
		return
	case err != nil:
		c.add(finding.Warning, "nats", "permit it to publish to "+userInfo+", so that missing permissions are found before they are needed",
			"could not read the permissions of this user: %v", natsconn.Explain(nc, err))
		return
	}
	if mine == nil {
		c.add(finding.OK, "nats", "", "this user may publish and subscribe to all subjects of its account")
		return
	}
	c.mine = mine
	before := len(c.found)
	subjects := 0
	for _, n := range c.needs(nc, js) {
		c.compare(n, *mine)
		subjects += len(n.subjects)
	}
	if len(c.found) == before {
		c.add(finding.OK, "nats", "", "this user may do what is needed for the %s (%d subjects)", c.purpose(), subjects)
	}
}

func (c *Checker) purpose() string {
	if c.For == ForOperator {
		return "operator commands"
	}
	return "worker"
}

// errNotReported is returned if the server does not support the request.
var errNotReported = errors.New("the server does not report it")

// ownPermissions asks the server. Nil without an error means unlimited.
func ownPermissions(ctx context.Context, nc *nats.Conn) (*permissions, error) {
	ctx, cancel := context.WithTimeout(ctx, userInfoWait)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, userInfo, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, errNotReported
	}
	if err != nil {
		return nil, err
	}
	var reply struct {
		Data *struct {
			Permissions *permissions `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &reply); err != nil || reply.Data == nil {
		return nil, errNotReported // also if it is only an error
	}
	return reply.Data.Permissions, nil
}

// compare adds findings for what is missing of one need.
func (c *Checker) compare(n need, mine permissions) {
	ask, verb := mine.publish, "publish to"
	if n.listen {
		ask, verb = mine.subscribe, "subscribe to"
	}
	var missing, holed []string
	for _, subject := range n.subjects {
		switch ask(subject) {
		case refused:
			missing = append(missing, subject)
		case partly:
			holed = append(holed, subject)
		}
	}
	switch {
	case len(missing) > 0 && n.reply && mine.Responses != nil:
		c.replies(n, *mine.Responses)
	case len(missing) > 0:
		level, do := finding.Error, "permit it for this user; "+listed
		if n.spare {
			level, do = finding.Warning, "permit it, unless this user only reads; "+listed
		} else if c.For != ForOperator {
			do += ". For a user of operators: check --for operator"
		}
		c.add(level, "nats", do, "this user may not %s %s, which is needed to %s", verb, n.name(missing), n.purpose)
	}
	if len(holed) > 0 {
		c.add(finding.Warning, "nats", "deny fewer subjects; "+listed,
			"some subjects of %s are denied to this user; to %s them is needed to %s", n.name(holed), strings.TrimSuffix(verb, " to"), n.purpose)
	}
}

// name returns the common name of the subjects if they are all of the need.
func (n need) name(some []string) string {
	if n.all != "" && len(some) == len(n.subjects) {
		return n.all
	}
	return strings.Join(some, ", ")
}

// replies adds a finding if allow_responses limits acks: a job that takes long needs
// several of them, ack extensions and the final one.
func (c *Checker) replies(n need, r responseRules) {
	if r.Max < 0 && r.Expires < 0 {
		return
	}
	most, within := "any number of times", "at any time"
	switch {
	case r.Max == 1:
		most = "once"
	case r.Max >= 0:
		most = fmt.Sprintf("%d times", r.Max)
	}
	if r.Expires >= 0 {
		within = fmt.Sprintf("within %s", r.Expires)
	}
	c.add(finding.Warning, "nats", "permit it to publish to "+n.name(n.subjects)+"; "+listed,
		"this user may answer a job only %s, %s (allow_responses): one that takes longer is delivered again and again", most, within)
}
