package gateway

import (
	"strconv"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// request is a call to be signed.
type request struct {
	user, method string
	unix         int64
	data         []param // sorted by name
}

type param struct{ name, value string }

// write returns the signed body, in the form of json.Marshal, and the signature.
func (r request) write(k *key) (body []byte, sign string) {
	// JSON would replace invalid UTF-8 after signing. The gateway would report a
	// signature error, which stops the whole worker.
	for i := range r.data {
		r.data[i].value = strings.ToValidUTF8(r.data[i].value, "\uFFFD")
	}
	body = r.appendSigned(make([]byte, 0, 512))
	sign = k.sign(body)
	return r.appendBody(body[:0], sign), sign
}

// appendSigned appends the [SignedString] of the [Params], by merging two sorted
// lists.
func (r request) appendSigned(b []byte) []byte {
	around := []param{{"method", r.method}, {"time", strconv.FormatInt(r.unix, 10)}, {"user", r.user}}
	for _, p := range r.data {
		for len(around) > 0 && around[0].name < p.name {
			b = around[0].appendSigned(b)
			around = around[1:]
		}
		b = p.appendSigned(b)
	}
	for _, p := range around {
		b = p.appendSigned(b)
	}
	return b
}

func (p param) appendSigned(b []byte) []byte {
	if len(b) > 0 {
		b = append(b, '&')
	}
	b = append(b, p.name...)
	b = append(b, '=')
	return append(b, p.value...)
}

func (r request) appendBody(b []byte, sign string) []byte {
	b = append(b, `{"user":`...)
	b = capture.AppendJSON(b, r.user)
	b = append(b, `,"sign":"`...)
	b = append(b, sign...)
	b = append(b, `","method":"`...)
	b = append(b, r.method...)
	b = append(b, `","time":`...)
	b = strconv.AppendInt(b, r.unix, 10)
	b = append(b, `,"data":{`...)
	for i, p := range r.data {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, p.name...)
		b = append(b, `":`...)
		b = capture.AppendJSON(b, p.value)
	}
	return append(b, `}}`...)
}
