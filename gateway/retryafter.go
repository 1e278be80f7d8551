package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds what a Retry-After is obeyed for: a mistake at the
// gateway must not stop the work for a day.
const MaxRetryAfter = 5 * time.Minute

// wait is how long the gateway asked not to be called, 0 if it did not ask. The
// header is obeyed with the two statuses that speak about load, in both of its
// forms: seconds, and the date of the end.
func (x *exchange) wait(now time.Time) time.Duration {
	if x.status != http.StatusTooManyRequests && x.status != http.StatusServiceUnavailable {
		return 0
	}
	return readRetryAfter(x.retryAfter, now)
}

func readRetryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil || seconds > uint64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	end, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(end.Sub(now), 0), MaxRetryAfter)
}

// contentEncoding names how a body was packed that was asked for unpacked, ""
// if it was not.
func contentEncoding(h http.Header) string {
	var packed []string
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "" && name != "identity" {
				packed = append(packed, name)
			}
		}
	}
	return strings.Join(packed, ", ")
}
