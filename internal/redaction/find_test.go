//go:build unix

package redaction

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

// The secrets of the tests. They have no part in common with each other, or with text
// that may be shown.
const (
	gatewayKey     = "gwKey/7Yq+present&3c1e9d"
	previousKey    = "gwKey/2Xd+previous&9a77f0"
	rotatedKey     = "gwKey/9Zu+rotated&5be210"
	natsPassword   = "natsPassword-q8#Lw2-61fd"
	natsToken      = "natsToken-v5Tz-80ab"
	collectorKey   = "collectorKey-h4Mn-27ce"
	addressSecret  = "addressSecret-k1Rb-93ea"
	signatureBytes = 64
)

func allSecrets() []string {
	return []string{gatewayKey, previousKey, rotatedKey, natsPassword, natsToken, collectorKey, addressSecret}
}

// spellings returns the encodings of a secret.
func spellings(secret string) []string {
	return []string{
		secret, strings.ToUpper(secret), strings.ToLower(secret), strings.ReplaceAll(secret, "&", `\u0026`), url.QueryEscape(secret), url.PathEscape(secret),
		strings.ReplaceAll(secret, "/", `\/`), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
	}
}

// find returns the secrets in an output, in any encoding. Half of a signature counts.
func find(output []byte, secrets, signatures []string) []string {
	var found []string
	for _, s := range secrets {
		for _, spelling := range spellings(s) {
			if bytes.Contains(output, []byte(spelling)) {
				found = append(found, spelling)
			}
		}
	}
	lower := bytes.ToLower(output)
	for _, s := range signatures {
		for _, half := range []string{s[:signatureBytes/2], s[signatureBytes/2:]} {
			if bytes.Contains(lower, []byte(half)) {
				found = append(found, "signature "+s)
				break
			}
		}
	}
	return found
}

// wantClean fails the test if an output contains a secret, and shows the position.
func wantClean(t *testing.T, what string, output []byte, signatures []string) {
	t.Helper()
	for _, s := range find(output, allSecrets(), signatures) {
		at := bytes.Index(bytes.ToLower(output), []byte(strings.ToLower(strings.TrimPrefix(s, "signature ")[:12])))
		near := ""
		if at >= 0 {
			near = string(output[max(0, at-200):min(len(output), at+200)])
		}
		t.Errorf("%s shows %s:\n%s", what, s, near)
	}
}

// The search must find secrets that are there.
func TestTheSearchFinds(t *testing.T) {
	t.Parallel()
	signature := strings.Repeat("0123456789abcdef", 4)
	for _, planted := range []string{
		gatewayKey, url.QueryEscape(rotatedKey), base64.StdEncoding.EncodeToString([]byte(natsToken)),
		`gwKey/7Yq+present\u00263c1e9d`, signature[:40], strings.ToUpper(signature),
	} {
		if len(find([]byte("x"+planted+"x"), allSecrets(), []string{signature})) == 0 {
			t.Errorf("%s is not found", planted)
		}
	}
	if got := find([]byte("nothing"), allSecrets(), []string{signature}); len(got) > 0 {
		t.Errorf("found %v in nothing", got)
	}
}
