package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.pem = issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return a
}

// issue signs a certificate with the parent, or with its own key.
func issue(t *testing.T, template *x509.Certificate, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by, signer := template, key
	if parent != nil {
		by, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// leaf returns a certificate for 127.0.0.1 and its key, in PEM.
func (a *authority) leaf(t *testing.T) (cert, key []byte) {
	t.Helper()
	_, private, cert := issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "leaf"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// tlsGateway is a gateway that shows the newest certificate that use has set, and
// wants one of its clients.
type tlsGateway struct {
	mu     sync.Mutex
	config *tls.Config
}

func (g *tlsGateway) use(t *testing.T, a *authority) {
	t.Helper()
	cert, key := a.leaf(t)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.config = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
}

func (g *tlsGateway) serve(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable) // an answer, which is all that is wanted
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.config, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + "/Payments"
}

// A renewed CA and client certificate are used without a restart; files that do not
// fit together change nothing.
func TestGatewayCertificatesAreReloaded(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	var server tlsGateway
	server.use(t, before)
	dir := t.TempDir()
	c := config.Defaults()
	c.Gateway.URL, c.Gateway.User, c.Gateway.SecretKey = server.serve(t), "u", "k"
	c.Gateway.TLSCA, c.Gateway.TLSCert, c.Gateway.TLSKey = filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	c.Gateway.TLSMin = "1.3"
	if _, err := NewGateway(c, "test"); err == nil {
		t.Fatal("a client without its certificates")
	}
	write := func(a *authority) {
		cert, key := a.leaf(t)
		for path, content := range map[string][]byte{c.Gateway.TLSCA: a.pem, c.Gateway.TLSCert: cert, c.Gateway.TLSKey: key} {
			writeKey(t, path, string(content))
		}
	}
	write(before)
	client, err := NewGateway(c, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := func() bool { return client.Query(t.Context(), "T1").Kind == capture.AnswerUnknown } // a 503: it got through
	if !answers() {
		t.Fatalf("before the change: %+v", client.Query(t.Context(), "T1"))
	}
	w := newCertificates(c.Gateway, client, slog.New(slog.DiscardHandler))
	w.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	defer func() { cancel(); watching.Wait() }()

	writeKey(t, c.Gateway.TLSCA, "not a certificate")
	client.Close() // idle connections would need no certificate
	if !answers() {
		t.Error("a broken file cut the worker off")
	}
	server.use(t, after)
	client.Close()
	if got := client.Query(t.Context(), "T1"); got.Kind != capture.AnswerNotSent {
		t.Errorf("a certificate of an unknown authority: %+v", got)
	}
	write(after)
	within(t, "the new certificates are used", answers)
}

func TestUnusableCertificatesAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	cert, _ := a.leaf(t)
	_, key := b.leaf(t)
	path := func(name string, content []byte) string {
		writeKey(t, filepath.Join(dir, name), string(content))
		return filepath.Join(dir, name)
	}
	for name, c := range map[string]config.Gateway{
		"no file":            {TLSCA: filepath.Join(dir, "none")},
		"no PEM":             {TLSCA: path("garbage", []byte("garbage"))},
		"another key":        {TLSCert: path("cert", cert), TLSKey: path("key", key)},
		"no key":             {TLSCert: path("cert2", cert), TLSKey: filepath.Join(dir, "none")},
		"key as certificate": {TLSCert: path("key2", key), TLSKey: path("key3", key)},
	} {
		if _, _, err := gatewayTLS(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
