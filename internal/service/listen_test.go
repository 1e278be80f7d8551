package service

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/config"
)

func TestListenForNotifications(t *testing.T) {
	c := config.Defaults()
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	if l, err := listenForNotifications(c, log); l != nil || err != nil {
		t.Errorf("off: %v, %v", l, err)
	}
	c.Notify.Listen = "127.0.0.1:0"
	l, err := listenForNotifications(c, log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if address := l.Addr().String(); !strings.Contains(logged.String(), address) || !strings.Contains(logged.String(), "gateway.notify_url is not set") {
		t.Errorf("the log does not name %s, or what is missing: %s", address, logged.String())
	}
	c.Notify.Listen = l.Addr().String()
	if _, err := listenForNotifications(c, log); err == nil || !strings.Contains(err.Error(), "notify.listen") {
		t.Errorf("an address that is taken: %v, want an error that names the key", err)
	}
}
