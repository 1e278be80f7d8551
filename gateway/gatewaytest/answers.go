package gatewaytest

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

var messages = map[string]string{
	capture.CodeInternal:         "Internal error",
	capture.CodeSignature:        "The signature Error",
	capture.CodeUser:             "The user not exist",
	capture.CodeFieldMissing:     "Required field is missing",
	capture.CodeRequestID:        "Incorrect request ID",
	capture.CodeWindowExceeded:   "Exceed capture window",
	capture.CodeAmountExceeded:   "The captured amount exceeds the original authorized amount",
	capture.CodeCurrencyMismatch: "The captured currency is different from the original authorization currency",
	capture.CodeTradeID:          "The original trade ID is incorrect",
	codeMethod:                   "The method not exist",
}

// failure writes the envelope of a failed call. What data is on failure is not
// published: the dice play every way that was seen.
func failure(code string, d dice) []byte {
	message := messages[code]
	if message == "" {
		message = "Error"
	}
	e := map[string]any{"status": false, "code": codeValue(code, d), "message": message, "response_id": responseID(d)}
	switch d.pick(saltData, 4) {
	case 0:
		e["data"] = nil
	case 1:
		e["data"] = []string{}
	case 2:
		e["data"] = ""
	}
	return encode(e)
}

// success writes the envelope of a call that went well.
func success(data any, d dice) []byte {
	return encode(struct {
		Code       any    `json:"code"`
		Data       any    `json:"data"`
		Message    string `json:"message"`
		ResponseID string `json:"response_id"`
		Status     bool   `json:"status"`
	}{Code: codeValue(capture.CodeSuccess, d), Data: data, ResponseID: responseID(d), Status: true})
}

// codeValue is the code as a string or as a number.
func codeValue(code string, d dice) any {
	if d.pick(saltCode, 2) == 0 {
		return code
	}
	return json.Number(code)
}

func responseID(d dice) string { return twentyDigits(d.bits(saltResponse)) }

// twentyDigits writes a number with leading zeros.
func twentyDigits(n uint64) string {
	var digits [20]byte
	for i := range digits {
		digits[len(digits)-1-i] = byte('0' + n%10)
		n /= 10
	}
	return string(digits[:])
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // codes are checked by Options and Step Validate, all else is plain data
	}
	return b
}

// shownAmount writes an amount in one of the ways that are equal: "1.00", "1".
func shownAmount(a capture.Amount, d dice) string {
	number := a.Number()
	if whole, frac, _ := strings.Cut(number, "."); d.pick(saltAmount, 2) == 0 && strings.Trim(frac, "0") == "" {
		return whole
	}
	return number
}

// order is what the gateway tells of a trade in every answer.
type order struct {
	Amount             string `json:"amount"`
	Currency           string `json:"currency"`
	ExchangeRate       string `json:"exchange_rate"`
	OrderID            string `json:"order_id"`
	SettlementAmount   string `json:"settlement_amount"`
	SettlementCurrency string `json:"settlement_currency"`
	State              string `json:"state"`
	TradeID            string `json:"trade_id"`
}

// captureData is the data of a capture's answer.
type captureData struct {
	order
	Message string `json:"message"`
}

// queryData is the data of Order Query's answer.
type queryData struct {
	Info queryInfo `json:"transaction_info"`
}

type queryInfo struct {
	order
	CreatedAt     string `json:"created_at"`
	Description   string `json:"description"`
	PaidTime      string `json:"paid_time"`
	TransactionID string `json:"transaction_id"`
}

func describe(t Trade, state capture.OrderState, amount capture.Amount, d dice) order {
	return order{
		Amount: shownAmount(amount, d), Currency: amount.Currency(), ExchangeRate: "1",
		OrderID: orderID(t.TradeID), SettlementAmount: amount.Number(), SettlementCurrency: amount.Currency(),
		State: string(state), TradeID: t.TradeID,
	}
}

// unixText is a time as the gateway sends it: Unix seconds in a string.
func unixText(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// orderID is the gateway's own number of a trade, the same whatever the seed.
func orderID(tradeID string) string {
	return twentyDigits(newDice(0, tradeID, "order", 0).bits(saltResponse))
}
