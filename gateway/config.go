package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// ErrConfig is wrapped by every error of [New], [Client.SetSecret] and [Client.SetTLS].
var ErrConfig = errors.New("gateway configuration")

// The defaults of [Config].
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConcurrency = 64
)

// Config configures a [Client]. URL, User and SecretKey are required.
type Config struct {
	// URL is the gateway's endpoint, https://mapi.yabandpay.com/Payments.
	URL string
	// User is the UID of the cashier account.
	User string
	// SecretKey signs the calls; [Client.SetSecret] replaces it.
	SecretKey Secret
	// Timeout limits one call, from the dial to the last byte of the answer. A short
	// one leads to more unknown answers. 0 is 30 seconds.
	Timeout time.Duration
	// Concurrency is the expected number of concurrent calls. So many idle
	// connections are kept; it does not limit the calls. 0 is 64.
	Concurrency int
	// Clock returns the time that is sent and signed. nil is time.Now.
	Clock func() time.Time
	// TLS is the configuration of https; [Client.SetTLS] replaces it.
	TLS TLS
	// AllowPlainHTTP permits http to a host other than loopback, for a simulator on
	// another machine. Calls can then be read, and answers forged, on the network.
	AllowPlainHTTP bool
	// UserAgent is the User-Agent header. "" is "capture-worker".
	UserAgent string
}

// TLS configures the connections to an https URL. The zero TLS trusts the system's
// certificate authorities, shows no certificate and uses TLS 1.2 or newer.
type TLS struct {
	// RootCAs are the trusted certificate authorities. nil is the system's.
	RootCAs *x509.CertPool
	// Certificate is shown to a gateway or proxy that asks for one. nil is none.
	Certificate *tls.Certificate
	// MinVersion is the oldest accepted version, [tls.VersionTLS12] or
	// [tls.VersionTLS13]. 0 is TLS 1.2.
	MinVersion uint16
}

func (t TLS) check() error {
	if t.MinVersion != 0 && t.MinVersion < tls.VersionTLS12 {
		return errors.New("the minimum TLS version is below 1.2: set tls.VersionTLS12 or newer, or 0 for the default")
	}
	return nil
}

func (t TLS) config() *tls.Config {
	c := &tls.Config{RootCAs: t.RootCAs, MinVersion: max(t.MinVersion, tls.VersionTLS12)}
	if t.Certificate != nil {
		c.Certificates = []tls.Certificate{*t.Certificate}
	}
	return c
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.UserAgent == "" {
		c.UserAgent = "capture-worker"
	}
	return c
}

func (c Config) check() error {
	errs := []error{c.checkURL()}
	if c.User == "" {
		errs = append(errs, errors.New("the user is missing: set the UID of the cashier account"))
	}
	if c.SecretKey == "" {
		errs = append(errs, errors.New("the secret key is missing: set the secret_key of the cashier account"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("the timeout %s is negative: set a positive duration, or 0 for the default", c.Timeout))
	}
	if c.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("the concurrency %d is negative: set a positive number, or 0 for the default", c.Concurrency))
	}
	errs = append(errs, c.TLS.check())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// checkURL returns errors without the whole URL, which may contain a password.
func (c Config) checkURL() error {
	const want = "set an absolute URL such as https://mapi.yabandpay.com/Payments"
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return errors.New("the URL is missing: " + want)
	case err != nil:
		return errors.New("the URL cannot be parsed: " + want)
	case u.User != nil:
		return errors.New("the URL contains a user or password, which the gateway does not use: remove it")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("the URL is not an absolute http or https URL: " + want)
	case u.Scheme == "http" && !c.AllowPlainHTTP && !loopback(u.Hostname()):
		return fmt.Errorf("the URL is plain http to %s, where traffic can be read and forged: use https, or set AllowPlainHTTP", u.Hostname())
	}
	return nil
}

// loopback reports whether a host is "localhost" or a loopback address. Other names
// that resolve to loopback are not trusted.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// connBuffer is the size of a connection's write buffer and of its read buffer.
const connBuffer = 2 << 10

// newTransport returns a transport with as many idle connections as the concurrency;
// the default of net/http is two per host.
//
// It uses HTTP/1.1 only, because net/http repeats HTTP/2 requests on its own. With
// HTTP/1.1 it repeats only a request of which no byte was written to a kept-alive
// connection.
func newTransport(c Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: min(c.Timeout, 10*time.Second), KeepAlive: 30 * time.Second}
	return &http.Transport{
		Protocols:              protocols,
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        c.TLS.config(),
		TLSHandshakeTimeout:    min(c.Timeout, 10*time.Second),
		MaxIdleConns:           c.Concurrency,
		MaxIdleConnsPerHost:    c.Concurrency,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Requests and answers have less than 1 KiB; the default buffers have 4 KiB
		// each.
		WriteBufferSize: connBuffer,
		ReadBufferSize:  connBuffer,
		// A compressed answer could expand far beyond maxAnswer.
		DisableCompression: true,
	}
}

// proxy returns an error without the address, which may contain a password.
func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy address in the environment cannot be parsed: check HTTPS_PROXY and HTTP_PROXY")
	}
	return u, nil
}
