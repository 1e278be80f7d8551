package preflight

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// notifications checks the address for notifications. Whether the gateway can reach
// it cannot be checked from here.
func (c *Checker) notifications() {
	listen, target := c.Config.Notify.Listen, c.Config.Gateway.NotifyURL
	const area = "notifications"
	switch {
	case listen == "" && target == "":
		c.add(finding.OK, area, "", "off: outcomes come from Order Query only")
		return
	case listen == "":
		c.add(finding.Warning, area, "set notify.listen, unless another program takes the notifications",
			"gateway.notify_url is %s, but nothing listens here (notify.listen)", target)
	case target == "":
		c.add(finding.Warning, area, "set gateway.notify_url to the address under which the gateway reaches this listener",
			"notify.listen is %s, but jobs that name no notify_url are sent without one", listen)
		return
	}
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" {
		c.add(finding.Error, area, "write an absolute URL, such as https://shop.example/notify", "gateway.notify_url %q cannot be read", target)
		return
	}
	c.target(u, area)
	if listen != "" && u.Path != c.Config.Notify.Path {
		c.add(finding.Warning, area, "make the paths the same, unless a proxy in between changes them",
			"gateway.notify_url has the path %q, the listener's is %q (notify.path)", u.Path, c.Config.Notify.Path)
	}
}

func (c *Checker) target(u *url.URL, area string) {
	switch {
	case loopback(u.Hostname()):
		c.add(finding.Warning, area, "give the address under which the gateway reaches you, unless it is a simulator on this machine",
			"gateway.notify_url is %s: only this machine reaches that", u)
	case private(u.Hostname()):
		c.add(finding.Warning, area, "give a public address, unless the gateway is inside your network",
			"gateway.notify_url is %s: an address of a private network", u)
	case u.Scheme != "https":
		c.add(finding.Warning, area, "use https", "gateway.notify_url is %s: notifications are signed, but can be read in transit", u)
	default:
		c.add(finding.OK, area, "", "requested at %s; whether the gateway reaches it cannot be checked from here", u)
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

func private(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast())
}
