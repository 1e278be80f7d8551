package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// Params returns the parameters of a call that are signed: user, method, time (Unix
// seconds) and the members of data. A member of data named user, method or time is
// overwritten. data is not changed.
func Params(user, method string, unix int64, data map[string]string) map[string]string {
	params := make(map[string]string, len(data)+3)
	maps.Copy(params, data)
	params["user"] = user
	params["method"] = method
	params["time"] = strconv.FormatInt(unix, 10)
	return params
}

// SignedString returns the text that is signed: name=value for each parameter, sorted
// by name in byte order and joined with &. Values are not escaped, empty ones are
// included, and a parameter named sign is left out.
//
// Because values are not escaped, the text is ambiguous: a value with "&state=paid" in
// it reads like another parameter. [ParseNotification] refuses such values.
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

// Sign returns the signature of parameters: the HMAC-SHA256 of their [SignedString]
// under the secret, as 64 lower-case hex digits.
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

// key is a secret with a pool of signers: preparing an HMAC takes as long as signing a
// request.
type key struct {
	secret  Secret
	signers sync.Pool // of *signer
}

type signer struct {
	mac hash.Hash
	sum [sha256.Size]byte
	hex [signLength]byte
}

func newKey(s Secret) *key {
	k := &key{secret: s}
	k.signers.New = func() any { return &signer{mac: hmac.New(sha256.New, []byte(s))} }
	return k
}

// sign returns the signature of a [SignedString].
func (k *key) sign(text []byte) string {
	s := k.signers.Get().(*signer)
	defer k.signers.Put(s)
	s.mac.Reset()
	s.mac.Write(text)
	hex.Encode(s.hex[:], s.mac.Sum(s.sum[:0]))
	return string(s.hex[:])
}
