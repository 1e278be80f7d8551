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

	"github.com/capture-worker/capture-worker/internal/natsconn"
)

const (
	// userInfo is where a server tells of one's own user, from 2.10 on.
	userInfo = "$SYS.REQ.USER.INFO"
	// userInfoWait is short: a server that does not permit the question does not
	// answer it, and all else has been looked at by then.
	userInfoWait = 2 * time.Second
	listed       = "docs/operations.md lists all that is needed (Permissions)"
)

// permissions compares what our user of NATS may do with what the role needs:
// a subject that is used for the first time by the first dead letter would not
// be missed before.
func (c *Checker) permissions(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) {
	mine, err := ownPermissions(ctx, nc)
	switch {
	case errors.Is(err, errUntold):
		c.add(OK, "nats", "", "what this user may do cannot be seen: %v", err)
		return
	case err != nil:
		c.add(Warning, "nats", "permit it to publish to "+userInfo+", so that missing permissions are found before they are needed",
			"what this user may do cannot be seen: %v", natsconn.Explain(nc, err))
		return
	}
	if mine == nil {
		c.add(OK, "nats", "", "this user may publish and subscribe to all subjects of its account")
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
		c.add(OK, "nats", "", "this user may do what is needed for the %s (%d subjects)", c.purpose(), subjects)
	}
}

func (c *Checker) purpose() string {
	if c.For == ForOperator {
		return "commands that people run"
	}
	return "worker"
}

// errUntold: the server has no answer to the question.
var errUntold = errors.New("the server does not tell it")

// ownPermissions asks the server. Nil without an error is no limit.
func ownPermissions(ctx context.Context, nc *nats.Conn) (*permissions, error) {
	ctx, cancel := context.WithTimeout(ctx, userInfoWait)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, userInfo, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, errUntold
	}
	if err != nil {
		return nil, err
	}
	var told struct {
		Data *struct {
			Permissions *permissions `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &told); err != nil || told.Data == nil {
		return nil, errUntold // also where it says nothing but an error
	}
	return told.Data.Permissions, nil
}

// compare says what of one need is missing.
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
		level, do := Error, "permit it for this user; "+listed
		if n.spare {
			level, do = Warning, "permit it, unless this user is for looking only; "+listed
		} else if c.For != ForOperator {
			do += ". For a user that is not the workers': check --for operator"
		}
		c.add(level, "nats", do, "this user may not %s %s, which is needed to %s", verb, n.name(missing), n.purpose)
	}
	if len(holed) > 0 {
		c.add(Warning, "nats", "make the denied subjects fewer; "+listed,
			"some subjects of %s are denied to this user; to %s them is needed to %s", n.name(holed), strings.TrimSuffix(verb, " to"), n.purpose)
	}
}

// name names subjects together where all of a need are meant.
func (n need) name(some []string) string {
	if n.all != "" && len(some) == len(n.subjects) {
		return n.all
	}
	return strings.Join(some, ", ")
}

// replies: jobs may be answered because they came in. A job that takes long is
// kept in progress again and again, and answered at the end.
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
	c.add(Warning, "nats", "permit it to publish to "+n.name(n.subjects)+"; "+listed,
		"this user may answer a job only %s, %s (allow_responses): one that takes longer is delivered again and again", most, within)
}
