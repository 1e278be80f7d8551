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

// ErrConfig is what every error of [New] and [Client.SetSecret] wraps.
var ErrConfig = errors.New("gateway configuration")

// The defaults of [Config].
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConcurrency = 64
)

// Config says where the gateway is and who calls it.
type Config struct {
	// URL is the gateway's one endpoint, https://mapi.yabandpay.com/Payments.
	URL string
	// User is the UID of the cashier account.
	User string
	// SecretKey signs the calls; [Client.SetSecret] replaces it.
	SecretKey Secret
	// Timeout bounds one call from the dial to the last byte of the answer. A
	// short one makes answers unknown. Default 30 seconds.
	Timeout time.Duration
	// Concurrency is how many calls are expected in flight; as many idle
	// connections are kept. It does not limit the calls. Default 64.
	Concurrency int
	// Clock gives the time that is sent and signed. Default time.Now.
	Clock func() time.Time
	// RootCAs are the authorities believed for https. Default the system's.
	RootCAs *x509.CertPool
	// AllowPlainHTTP permits http to a host that is not loopback, for a
	// simulator on another machine. Calls and answers can then be read and
	// answers forged on the way.
	AllowPlainHTTP bool
	// UserAgent names the caller. Default "capture-worker".
	UserAgent string
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
		errs = append(errs, fmt.Errorf("the timeout %s is negative: set a duration above zero", c.Timeout))
	}
	if c.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("the concurrency %d is negative: set a number above zero", c.Concurrency))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// checkURL never shows the whole URL: it may hold a password.
func (c Config) checkURL() error {
	const want = "set an absolute URL such as https://mapi.yabandpay.com/Payments"
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return errors.New("the URL is missing: " + want)
	case err != nil:
		return errors.New("the URL cannot be read: " + want)
	case u.User != nil:
		return errors.New("the URL holds a user or password, which the gateway does not use: remove it")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("the URL is not an absolute http or https URL: " + want)
	case u.Scheme == "http" && !c.AllowPlainHTTP && !loopback(u.Hostname()):
		return fmt.Errorf("the URL is plain http to %s, where others may read and forge the traffic: use https, or allow plain http", u.Hostname())
	}
	return nil
}

// loopback takes names as they are written: a name that only resolves to
// loopback today is not trusted.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// connBuffer is a connection's buffer for writing, and one for reading.
const connBuffer = 2 << 10

// newTransport sizes the pool to the concurrency: net/http keeps two idle
// connections per host otherwise, and closes the rest after every burst.
//
// HTTP/1.1 only, because HTTP/2 in net/http repeats requests on its own. What
// is left of repeating in net/http is a request of which not one byte was
// written on a kept connection; it is then sent once on another.
func newTransport(c Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: min(c.Timeout, 10*time.Second), KeepAlive: 30 * time.Second}
	return &http.Transport{
		Protocols:              protocols,
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    min(c.Timeout, 10*time.Second),
		MaxIdleConns:           c.Concurrency,
		MaxIdleConnsPerHost:    c.Concurrency,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Requests and answers have less than a kilobyte; by default each
		// connection keeps eight for them.
		WriteBufferSize: connBuffer,
		ReadBufferSize:  connBuffer,
		// A compressed answer could be far larger than what was read.
		DisableCompression: true,
	}
}

// proxy keeps the address out of the error: it may hold a password.
func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy address in the environment cannot be read")
	}
	return u, nil
}
