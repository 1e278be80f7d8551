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

const method = "v3.Capture"

type request struct {
	User   string `json:"user"`
	Sign   string `json:"sign"`
	Method string `json:"method"`
	Time   int64  `json:"time"`
	Data   data   `json:"data"`
}

type data struct {
	TradeID     string `json:"trade_id"`
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	Description string `json:"description"`
	NotifyURL   string `json:"notify_url"`
	RequestID   string `json:"request_id"`
}

// signer signs capture requests. It is safe for concurrent use.
type signer struct {
	user string
	macs sync.Pool // of hash.Hash, keyed
}

func newSigner(user, secret string) *signer {
	return &signer{user: user, macs: sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(secret)) }}}
}

// body returns the JSON body of a capture of the job, under a request_id that
// was never used before.
func (s *signer) body(j Job) ([]byte, error) {
	r := request{User: s.user, Method: method, Time: time.Now().Unix(), Data: data{
		TradeID: j.TradeID, Amount: j.Amount, Currency: j.Currency,
		Description: j.Description, RequestID: rand.Text(),
	}}
	r.Sign = s.sign(r)
	return json.Marshal(r)
}

// sign is the lower-case hex HMAC of the parameters in the order of their names.
func (s *signer) sign(r request) string {
	b := make([]byte, 0, 512)
	b = append(b, "amount="+r.Data.Amount+"&currency="+r.Data.Currency...)
	b = append(b, "&description="+r.Data.Description+"&method="+r.Method...)
	b = append(b, "&notify_url="+r.Data.NotifyURL+"&request_id="+r.Data.RequestID+"&time="...)
	b = strconv.AppendInt(b, r.Time, 10)
	b = append(b, "&trade_id="+r.Data.TradeID+"&user="+r.User...)
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	return hex.EncodeToString(mac.Sum(b[:0]))
}
