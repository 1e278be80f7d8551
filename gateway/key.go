package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

// key is a secret with the signers that were made of it. Mixing the secret
// into an HMAC takes as long as signing a request, and is done once for each.
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

// sign signs a [SignedString].
func (k *key) sign(text []byte) string {
	s := k.signers.Get().(*signer)
	defer k.signers.Put(s)
	s.mac.Reset()
	s.mac.Write(text)
	hex.Encode(s.hex[:], s.mac.Sum(s.sum[:0]))
	return string(s.hex[:])
}
