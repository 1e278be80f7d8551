package archive

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucket is an archive in a bucket of an S3 server.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// openS3 reads credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
// from the file that AWS programs share.
func openS3(u *url.URL) (Target, error) {
	endpoint := "https://s3.amazonaws.com"
	if e := u.Query().Get("endpoint"); e != "" {
		endpoint = e
	}
	server, err := url.Parse(endpoint)
	if err != nil || server.Host == "" || server.User != nil || strings.Trim(server.Path, "/") != "" {
		return nil, fmt.Errorf("%w: endpoint must be the URL of an S3 server, such as https://s3.example.com", ErrTarget)
	}
	client, err := minio.New(server.Host, &minio.Options{
		Creds:  credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}),
		Secure: server.Scheme == "https", Region: u.Query().Get("region"),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return bucket{client: client, name: u.Host, prefix: prefix}, nil
}

func (b bucket) Where() string {
	return fmt.Sprintf("bucket %s/%s at %s", b.name, b.prefix, b.client.EndpointURL().Host)
}

// Create asks the server to refuse an object that exists.
func (b bucket) Create(ctx context.Context, name string, body io.Reader, size int64) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream"}
	o.SetMatchETagExcept("*")
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, body, size, o)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return fmt.Errorf("%s: %w", name, ErrExists)
	}
	return b.doing("writing", name, err)
}

func (b bucket) doing(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s in %s: %w", what, name, b.Where(), err)
}

func (b bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		_, err = object.Stat()
	}
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, b.doing("reading", name, err)
	}
	return object, nil
}

func (b bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var names []string
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, b.doing("listing", prefix, o.Err)
		}
		names = append(names, strings.TrimPrefix(o.Key, b.prefix))
	}
	slices.Sort(names)
	return names, ctx.Err()
}
