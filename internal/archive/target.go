package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Errors of targets.
var (
	ErrExists   = errors.New("the archive has an object of this name")
	ErrNotFound = errors.New("the archive has no object of this name")
	ErrTarget   = errors.New("not a place for an archive")
)

// Target is where an archive is kept. Objects are written once and never changed:
// what Create has stored is there as a whole after a crash, or not at all.
type Target interface {
	// Create stores an object of size bytes. The error wraps ErrExists if there is
	// one of this name, which is left as it is.
	Create(ctx context.Context, name string, body io.Reader, size int64) error
	// Open reads an object. The error wraps ErrNotFound if there is none.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the names that begin with a prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Where names the place for messages, without credentials.
	Where() string
}

// The schemes of places other than folders.
const (
	schemeS3   = "s3"
	schemeNATS = "nats-object"
)

// NeedsNATS reports whether a place is kept by the NATS server itself.
func NeedsNATS(place string) bool { return strings.HasPrefix(place, schemeNATS+"://") }

// OpenTarget opens a place: the path of a folder, s3://BUCKET/PREFIX with the
// parameters endpoint and region, or nats-object://BUCKET. js is for the last kind
// alone. The error wraps ErrTarget if the place cannot be understood.
func OpenTarget(ctx context.Context, place string, js jetstream.JetStream) (Target, error) {
	scheme, _, isURL := strings.Cut(place, "://")
	if place == "" {
		return nil, fmt.Errorf("%w: the name is empty", ErrTarget)
	}
	if !isURL {
		return folder{place}, nil
	}
	u, err := url.Parse(place)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: %s:// must be followed by a bucket, without credentials", ErrTarget, scheme)
	}
	switch scheme {
	case schemeS3:
		return openS3(u)
	case schemeNATS:
		return openNATS(ctx, u, js)
	}
	return nil, fmt.Errorf("%w: %.20s:// is neither s3:// nor nats-object:// nor a folder", ErrTarget, scheme)
}
