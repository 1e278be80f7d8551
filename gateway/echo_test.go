package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway"
)

// A gateway that mixes calls up may repeat the signature of an earlier one. In
// an order state half of it is left.
func TestAnswerHoldsNoSignatureOfAnotherCall(t *testing.T) {
	t.Parallel()
	earlier := strings.Repeat("0123456789abcdef", 4)
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":true,"code":"200","message":"for %[1]s","response_id":"%[1]s","data":{"transaction_info":{
			"trade_id":%[2]q,"state":"%[1]s","amount":"1","currency":"EUR","order_id":"A%[1]s","transaction_id":"%[1]s"}}}`, earlier, trade)
	})
	for range 2 {
		text, err := json.Marshal([]any{client.Query(t.Context(), trade), client.Capture(t.Context(), request(t))})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), earlier[:32]) || !strings.Contains(string(text), "[hidden]") {
			t.Errorf("answers are %s", text)
		}
	}
}

func TestNotificationHoldsNoSignatureOfOurs(t *testing.T) {
	t.Parallel()
	ours := strings.Repeat("0123456789abcdef", 4)
	data := map[string]string{
		"type": "payment", "trade_id": trade, "order_id": ours, "transaction_id": "x" + ours, "state": ours, "amount": "1", "currency": "EUR",
	}
	object, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	n, err := gateway.ParseNotification([]byte(gateway.Sign(secret, data)+"."+string(object)), secret)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", n); strings.Contains(text, ours[:32]) || n.TradeID != trade {
		t.Errorf("the notification is %s", text)
	}
}
