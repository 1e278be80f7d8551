package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// objects is an archive in an object store of JetStream.
type objects struct{ store jetstream.ObjectStore }

// openNATS finds the bucket. It is made by an operator, who decides about replicas
// and, above all, about the server: an archive beside its ledger is lost with it.
func openNATS(ctx context.Context, u *url.URL, js jetstream.JetStream) (Target, error) {
	if js == nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%w: nats-object:// must be followed by a bucket alone", ErrTarget)
	}
	store, err := js.ObjectStore(ctx, u.Host)
	if err != nil {
		return nil, fmt.Errorf("object store %s (`nats object add %s` creates it): %w", u.Host, u.Host, err)
	}
	return objects{store}, nil
}

func (o objects) Where() string { return "object store " + o.bucket() }

func (o objects) bucket() string {
	status, err := o.store.Status(context.Background())
	if err != nil {
		return ""
	}
	return status.Bucket()
}

// Create looks before it writes, as the object store cannot refuse what exists:
// there is to be one archiver at a time.
func (o objects) Create(ctx context.Context, name string, body io.Reader, _ int64) error {
	if _, err := o.store.GetInfo(ctx, name); err == nil {
		return fmt.Errorf("%s: %w", name, ErrExists)
	} else if !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("looking for %s: %w", name, err)
	}
	if _, err := o.store.Put(ctx, jetstream.ObjectMeta{Name: name}, body); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (o objects) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := o.store.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return object, nil
}

func (o objects) List(ctx context.Context, prefix string) ([]string, error) {
	all, err := o.store.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("listing %s: %w", prefix, err)
	}
	var names []string
	for _, info := range all {
		if strings.HasPrefix(info.Name, prefix) {
			names = append(names, info.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
