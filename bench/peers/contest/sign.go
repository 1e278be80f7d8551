package contest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strconv"
	"sync"
	"time"
)

// Signer writes signed capture requests. It is safe for concurrent use.
type Signer struct {
	user string
	macs sync.Pool // of hash.Hash, keyed
}

// NewSigner returns a signer for one account.
func NewSigner(user, secret string) *Signer {
	return &Signer{user: user, macs: sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(secret)) }}}
}

// AppendCapture appends the JSON body of a v3.Capture of the job, under a
// request_id that was never used before.
func (s *Signer) AppendCapture(b []byte, j Job) []byte {
	id, now := rand.Text(), time.Now().Unix()
	sign := s.sign(j, id, now)
	b = append(b, `{"user":`...)
	b = appendText(b, s.user)
	b = append(b, `,"sign":"`...)
	b = append(b, sign[:]...)
	b = append(b, `","method":"v3.Capture","time":`...)
	b = strconv.AppendInt(b, now, 10)
	b = append(b, `,"data":{"trade_id":`...)
	b = appendText(b, j.TradeID)
	b = append(b, `,"amount":`...)
	b = appendText(b, j.Amount)
	b = append(b, `,"currency":`...)
	b = appendText(b, j.Currency)
	b = append(b, `,"description":`...)
	b = appendText(b, j.Description)
	b = append(b, `,"notify_url":"","request_id":"`...)
	b = append(b, id...)
	return append(b, `"}}`...)
}

// sign is the lower-case hex HMAC of the parameters, which are written in the
// order of their names.
func (s *Signer) sign(j Job, id string, now int64) (sign [2 * sha256.Size]byte) {
	var room [512]byte
	b := append(room[:0], "amount="...)
	b = append(b, j.Amount...)
	b = append(b, "&currency="...)
	b = append(b, j.Currency...)
	b = append(b, "&description="...)
	b = append(b, j.Description...)
	b = append(b, "&method=v3.Capture&notify_url=&request_id="...)
	b = append(b, id...)
	b = append(b, "&time="...)
	b = strconv.AppendInt(b, now, 10)
	b = append(b, "&trade_id="...)
	b = append(b, j.TradeID...)
	b = append(b, "&user="...)
	b = append(b, s.user...)
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	var sum [sha256.Size]byte
	hex.Encode(sign[:], mac.Sum(sum[:0]))
	return sign
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always can be
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
