package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
)

// Params flattens a request body into the parameters that are signed: user,
// method and time (Unix seconds), with the members of data beside them. The
// body's own members win over members of data with the same name. The map is
// new, data is not changed.
func Params(user, method string, unix int64, data map[string]string) map[string]string {
	params := make(map[string]string, len(data)+3)
	maps.Copy(params, data)
	params["user"] = user
	params["method"] = method
	params["time"] = strconv.FormatInt(unix, 10)
	return params
}

// SignedString joins parameters as the gateway signs them: sorted by name in
// byte order, as name=value with & between, values raw, empty ones kept. A
// parameter named sign is left out.
//
// Raw values make it ambiguous: a value holding "&state=paid" joins like a
// member of its own. [ParseNotification] refuses such values.
//
// Source: the gateway's PHP library.
func SignedString(params map[string]string) string {
	return string(appendSigned(make([]byte, 0, 512), params))
}

func appendSigned(b []byte, params map[string]string) []byte {
	names := make([]string, 0, 16)
	for name := range params {
		if name != "sign" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, name...)
		b = append(b, '=')
		b = append(b, params[name]...)
	}
	return b
}

// Sign returns the signature of flattened parameters: the lower-case hex
// HMAC-SHA256 of their [SignedString] under the secret. It is 64 bytes long.
func Sign(secret Secret, params map[string]string) string {
	mac := macOf(secret, appendSigned(make([]byte, 0, 512), params))
	return hex.EncodeToString(mac[:])
}

func macOf(secret Secret, text []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}
