package config

import (
	"net/netip"
	"strings"
)

// ParseNetworks reads networks such as 203.0.113.0/24 and 2001:db8::/32; an
// address alone is a network of one.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		network, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errNetwork
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	// Bits beyond the mask are usually a mistake, and would admit a whole network
	// instead of one address.
	if err != nil || network.Masked() != network || network.Addr().Is4In6() {
		return netip.Prefix{}, errNetwork
	}
	return network, nil
}

const errNetwork = valueError("must be networks such as 203.0.113.0/24, with no bits set beyond the mask, or addresses")

func (v *checker) networks(key string, list []string) {
	if _, err := ParseNetworks(list); err != nil {
		v.add(key, err.Error(), "")
	}
}

func notInHeaders(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
