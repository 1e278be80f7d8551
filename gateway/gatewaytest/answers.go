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

// failure returns the envelope of a failed call. Its data is not documented: dice choose
// among the forms that were seen.
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

// success returns the envelope of a successful call.
func success(data any, d dice) []byte {
	return encode(struct {
		Code       any    `json:"code"`
		Data       any    `json:"data"`
		Message    string `json:"message"`
		ResponseID string `json:"response_id"`
		Status     bool   `json:"status"`
	}{Code: codeValue(capture.CodeSuccess, d), Data: data, ResponseID: responseID(d), Status: true})
}

// codeValue returns the code as a string or as a number.
func codeValue(code string, d dice) any {
	if d.pick(saltCode, 2) == 0 {
		return code
	}
	return json.Number(code)
}

func responseID(d dice) string { return twentyDigits(d.bits(saltResponse)) }

// twentyDigits returns a number with leading zeros.
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
		panic(err) // not reached: Options.Validate and Step.Validate check the codes
	}
	return b
}

// shownAmount returns an amount in one of its equal forms, such as "1.00" and "1".
func shownAmount(a capture.Amount, d dice) string {
	number := a.Number()
	if whole, frac, _ := strings.Cut(number, "."); d.pick(saltAmount, 2) == 0 && strings.Trim(frac, "0") == "" {
		return whole
	}
	return number
}

// order has the members of a trade in every answer.
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

// unixText returns a time as the gateway sends it: Unix seconds in a string.
func unixText(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// orderID returns the gateway's order number of a trade, independent of the seed.
func orderID(tradeID string) string {
	return twentyDigits(newDice(0, tradeID, "order", 0).bits(saltResponse))
}
