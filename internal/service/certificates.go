package service

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
)

// gatewayTLS reads the certificates for https to the gateway, and returns a digest
// of the files.
func gatewayTLS(c config.Gateway) (t gateway.TLS, digest [sha256.Size]byte, err error) {
	all := sha256.New()
	read := func(key, path string) ([]byte, error) {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		_, _ = all.Write(pem) // a hash returns no error
		return pem, nil
	}
	if c.TLSMin == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	if c.TLSCA != "" {
		pem, err := read("gateway.tls_ca", c.TLSCA)
		if err != nil {
			return t, digest, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return t, digest, fmt.Errorf("gateway.tls_ca: %s holds no certificate in PEM", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		cert, err := read("gateway.tls_cert", c.TLSCert)
		key, keyErr := read("gateway.tls_key", c.TLSKey)
		if err := errors.Join(err, keyErr); err != nil {
			return t, digest, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return t, digest, fmt.Errorf("gateway.tls_cert and gateway.tls_key: %w", err)
		}
		t.Certificate = &pair
	}
	return t, [sha256.Size]byte(all.Sum(nil)), nil
}

// certificates reloads the certificates for https to the gateway when their files
// change.
type certificates struct {
	c      config.Gateway
	client *gateway.Client
	log    *slog.Logger
	every  time.Duration
	inUse  [sha256.Size]byte
}

func newCertificates(c config.Gateway, client *gateway.Client, log *slog.Logger) *certificates {
	return &certificates{c: c, client: client, log: log, every: filePoll}
}

// watch reloads until ctx ends.
func (w *certificates) watch(ctx context.Context) {
	if w.c.TLSCA == "" && w.c.TLSCert == "" {
		return
	}
	pollFiles(ctx, w.every, w.reload, func(err error) {
		w.log.Warn("reloading gateway certificates failed, keeping the current ones", "error", err)
	})
}

func (w *certificates) reload() error {
	t, digest, err := gatewayTLS(w.c)
	if err != nil || digest == w.inUse {
		return err
	}
	if err := w.client.SetTLS(t); err != nil {
		return err
	}
	first := w.inUse == [sha256.Size]byte{} // most likely the files from which the client was made
	w.inUse = digest
	if first {
		return nil
	}
	w.log.Info("reloaded gateway certificates", "ca", w.c.TLSCA, "certificate", w.c.TLSCert)
	return nil
}
