package reconcile

import (
	"errors"
	"fmt"
)

// ErrNotSet is wrapped by errors that name a field which has no default.
var ErrNotSet = errors.New("not set, and there is no default")

func notSet(field string) error { return fmt.Errorf("%s: %w", field, ErrNotSet) }

func (c *Clerk) check() error {
	switch {
	case c == nil:
		return notSet("reconcile.Clerk")
	case c.Ledger == nil:
		return notSet("reconcile.Clerk.Ledger")
	}
	return nil
}

func (r *Resolver) check() error {
	switch {
	case r == nil:
		return notSet("reconcile.Resolver")
	case r.Query == nil:
		return notSet("reconcile.Resolver.Query")
	}
	return r.Clerk.check()
}

func (r *Releaser) check() error {
	switch {
	case r == nil:
		return notSet("reconcile.Releaser")
	case r.Query == nil:
		return notSet("reconcile.Releaser.Query")
	}
	return r.Clerk.check()
}

// mayRelease is check for what writes: a release without who and why could not
// be accounted for.
func (r *Releaser) mayRelease() error {
	if err := r.check(); err != nil {
		return err
	}
	switch {
	case r.Publish == nil:
		return notSet("reconcile.Releaser.Publish")
	case r.By == "":
		return notSet("reconcile.Releaser.By")
	case r.Note == "":
		return notSet("reconcile.Releaser.Note")
	}
	return nil
}
