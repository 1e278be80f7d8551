package contest

import (
	"fmt"
	"math/rand/v2"
)

// Job is a message of the jobs stream.
type Job struct {
	TradeID     string `json:"trade_id"`
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	OrderID     string `json:"order_id"`
	Description string `json:"description"`
}

// Jobs returns n jobs with trade ids that no other call returns: for the peers
// that fill a queue of their own.
func Jobs(n int) []Job {
	batch := rand.Uint64() >> 24 // 40 bits
	jobs := make([]Job, n)
	for i := range jobs {
		order := fmt.Sprintf("A-%d", i)
		jobs[i] = Job{
			TradeID: fmt.Sprintf("T%010x%07d", batch, i), Amount: "24.99", Currency: "EUR",
			OrderID: order, Description: "order " + order,
		}
	}
	return jobs
}
