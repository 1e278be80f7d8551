package service

import (
	"log/slog"
	"net"
	"net/url"
	"strconv"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsserver"
)

// startEmbedded starts a JetStream server at nats.url that syncs every write to
// the disk before it acknowledges it.
func startEmbedded(c config.Config, log *slog.Logger) (*natsserver.Server, error) {
	host, port, err := embeddedAddress(c.NATS.URL)
	if err != nil {
		return nil, err
	}
	return natsserver.Start(natsserver.Options{
		Host: host, Port: port, StoreDir: c.NATS.StoreDir, SyncAlways: true, Logger: log,
	})
}

func embeddedAddress(natsURL string) (host string, port int, err error) {
	u, err := url.Parse(natsURL)
	if err != nil || u.Hostname() == "" {
		return "", 0, embeddedProblem(natsURL, "--embedded needs one address")
	}
	port = 4222
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return "", 0, embeddedProblem(natsURL, "the port is not a number")
		}
	}
	// The embedded server has no authentication.
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, embeddedProblem(natsURL, "--embedded listens on loopback only")
	}
	return u.Hostname(), port, nil
}

func embeddedProblem(natsURL, wrong string) error {
	return config.NewProblem("nats.url", natsURL, wrong, "set an address such as nats://127.0.0.1:4222")
}
