package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// vector is a notification that was signed in PHP, and what it says.
type vector struct {
	Form     string   `json:"form"`
	Way      string   `json:"way"`
	Members  []string `json:"members"`
	Body     []byte   `json:"body_base64"`
	TradeID  string   `json:"trade_id"`
	Amount   string   `json:"amount"`
	Currency string   `json:"currency"`
	State    string   `json:"state"`
}

// TestNotificationVectors checks that notifications signed by the vendor's
// published algorithm are verified and read correctly.
func TestNotificationVectors(t *testing.T) {
	file, err := os.Open("testdata/notifications.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	count := 0
	for ; lines.Scan(); count++ {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		n, err := gateway.ParseNotification(v.Body, secret)
		if err != nil || n.TradeID != v.TradeID || n.Amount != money(t, v.Amount, v.Currency) || string(n.State) != v.State || n.Rendering != "library" {
			t.Errorf("line %d, %s with %v: %+v, %v", count+1, v.Form, v.Members, n, err)
		}
		if _, err := gateway.ParseNotification(v.Body, "another-key"); !errors.Is(err, gateway.ErrSignature) {
			t.Errorf("line %d under another key: %v", count+1, err)
		}
	}
	if lines.Err() != nil || count != 240 {
		t.Errorf("%d lines, %v", count, lines.Err())
	}
}

// phpCommand skips the test if there is no PHP here.
func phpCommand(t *testing.T, args ...string) *exec.Cmd {
	path, err := exec.LookPath("php")
	if err != nil {
		t.Skip("php is not installed")
	}
	return exec.CommandContext(t.Context(), path, append([]string{"-n", "testdata/gateway.php"}, args...)...)
}

// TestNotificationsSignedByPHP checks 2,000 random notifications, with members of
// every type, names of digits and nested objects, signed in three ways.
func TestNotificationsSignedByPHP(t *testing.T) {
	const count = 2000
	out, err := phpCommand(t, "sign", "1", fmt.Sprint(count)).Output()
	if err != nil {
		t.Fatal(err)
	}
	ambiguous, ways := 0, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var v struct {
			Way, Form string
			Body      []byte
			TradeID   string `json:"trade_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		n, err := gateway.ParseNotification(v.Body, secret)
		if errors.Is(err, gateway.ErrNotification) {
			ambiguous++
			continue
		}
		ways[n.Rendering]++
		if err != nil || n.TradeID != v.TradeID || n.Amount != money(t, "24.90", "EUR") || n.State != capture.OrderPaid {
			t.Fatalf("%s, %s: %+v, %v\n%s", v.Way, v.Form, n, err, v.Body)
		}
	}
	if ambiguous > 0 || ways["library"] < 400 || ways["library_without_empty"] < 200 || ways["merged_without_empty"] < 100 {
		t.Errorf("%d ambiguous, verified by %v", ambiguous, ways)
	}
}

// TestPHPBelievesOurRequests checks the signatures of 2,000 random requests with
// PHP.
func TestPHPBelievesOurRequests(t *testing.T) {
	const letters = "aZ09 &=?%+\"\\/<>.-_éß中💳\u2028{}\n\x00\x7f"
	g := rand.New(rand.NewPCG(1, 1))
	text := func() string {
		var b strings.Builder
		for range g.IntN(12) {
			b.WriteString(string([]rune(letters)[g.IntN(len([]rune(letters)))]))
		}
		return b.String()
	}
	client := dial(t, "http://127.0.0.1:1", nil)
	var bodies strings.Builder
	for range 2000 {
		r := request(t)
		r.Description, r.NotifyURL, r.RequestID, r.TradeID = text(), text(), text(), text()
		body := gateway.CaptureBody(client, r)
		if g.IntN(4) == 0 {
			body = gateway.QueryBody(client, r.TradeID)
		}
		bodies.WriteString(base64.StdEncoding.EncodeToString(body) + "\n")
	}
	command := phpCommand(t, "verify")
	command.Stdin = strings.NewReader(bodies.String())
	out, err := command.Output()
	if err != nil || len(out) > 0 {
		t.Errorf("not believed: %s, %v", out, err)
	}
}

// TestRenderings checks the signed string of each rendering for the same members.
func TestRenderings(t *testing.T) {
	const data = `{"state":"paid","10":1,"9":"b","Zeta":1.50,"n":null,"z":"0","t":true,"l":[1],"e":{},"3ds":{"3ds_status":"Y","in":""},"sign":"x"}`
	for name, want := range map[string]string{
		"library":                    "3ds=Array&9=b&10=1&Zeta=1.5&e=Array&l=Array&n=&state=paid&t=1&z=0",
		"library_without_empty":      "9=b&10=1&3ds=Array&Zeta=1.5&l=Array&state=paid&t=1",
		"merged":                     "9=b&10=1&3ds_status=Y&Zeta=1.5&in=&l=Array&n=&state=paid&t=1&z=0",
		"merged_without_empty":       "9=b&10=1&3ds_status=Y&Zeta=1.5&l=Array&state=paid&t=1",
		"plain":                      "10=1&3ds=Array&9=b&Zeta=1.50&e=Array&l=Array&n=&state=paid&t=1&z=0",
		"plain_without_empty":        "10=1&3ds=Array&9=b&Zeta=1.50&l=Array&state=paid&t=1",
		"plain_merged":               "10=1&3ds_status=Y&9=b&Zeta=1.50&in=&l=Array&n=&state=paid&t=1&z=0",
		"plain_merged_without_empty": "10=1&3ds_status=Y&9=b&Zeta=1.50&l=Array&state=paid&t=1",
	} {
		if got := gateway.Rendered(name, []byte(data)); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", name, got, want)
		}
	}
	if names := gateway.Renderings(); len(names) != 8 || names[0] != "library" {
		t.Errorf("renderings %v", names)
	}
}

// TestPHPNumbers checks that integers are unchanged and floats have 14 digits.
func TestPHPNumbers(t *testing.T) {
	for raw, want := range map[string]string{
		"0": "0", "-5": "-5", "9223372036854775807": "9223372036854775807", "9223372036854775808": "9.2233720368548E+18",
		"1.0": "1", "1.10": "1.1", "0.30000000000000004": "0.3", "24.989999999999998": "24.99", "-0": "-0", "-0.0": "-0", "0.0": "0",
		"1e3": "1000", "1.0e-7": "1.0E-7", "-2.5e-5": "-2.5E-5", "0.0001": "0.0001", "1e14": "1.0E+14", "1e13": "10000000000000",
		"12345678901234.5": "12345678901234", "99999999999999.9": "1.0E+14", "1.23456789012345678e20": "1.2345678901235E+20",
		"1e999": "INF", "-1e999": "-INF", "1e-999": "0", "-1e100": "-1.0E+100", "123.456": "123.456",
	} {
		if got := gateway.Rendered("library", []byte(`{"n":`+raw+`}`)); got != "n="+want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

// Only what the signature covers is evidence: a member that the rendering left
// out, or printed as a word that is not the sender's, says nothing.
func TestOnlySignedMembersAreEvidence(t *testing.T) {
	const whole = `"currency":"EUR","order_id":"o","trade_id":"` + trade + `","type":"payment","user":"016683"`
	const rest = "currency=EUR&order_id=o"
	const last = "trade_id=" + trade + "&type=payment&user=016683"
	for name, tc := range map[string]struct {
		signed, data string
		want         gateway.Notification
	}{
		"amount left out": {rest + "&state=paid&" + last, `"amount":0,"state":"paid"`, gateway.Notification{State: "paid", AmountText: "EUR"}},
		"amount a list":   {"amount=Array&" + rest + "&state=paid&" + last, `"amount":[24.9],"state":"paid"`, gateway.Notification{State: "paid", AmountText: "EUR"}},
		"state an object": {"amount=1&" + rest + "&state=Array&" + last, `"amount":"1","state":{"state":"x"}`, gateway.Notification{Amount: money(t, "1", "EUR")}},
		"amount true":     {"amount=1&" + rest + "&state=paid&" + last, `"amount":true,"state":"paid"`, gateway.Notification{State: "paid", AmountText: "EUR"}},
		"state null":      {"amount=1&" + rest + "&state=&" + last, `"amount":"1","state":null`, gateway.Notification{Amount: money(t, "1", "EUR")}},
		"merged state":    {"amount=1&" + rest + "&state=paid&" + last, `"amount":"1","x":{"state":"paid"}`, gateway.Notification{State: "paid", Amount: money(t, "1", "EUR")}},
		"time":            {"amount=1&" + rest + "&paid_time=1720684254&state=paid&" + last, `"amount":"1","state":"paid","paid_time":1720684254`, gateway.Notification{State: "paid", Amount: money(t, "1", "EUR"), PaidTime: "1720684254"}},
		"unreadable":      {"amount=1,10&" + rest + "&state=paid&" + last, `"amount":"1,10","state":"paid"`, gateway.Notification{State: "paid", AmountText: "1,10 EUR"}},
		"twice":           {"amount=1&" + rest + "&state=paid&" + last, `"state":"failed","amount":"1","state":"paid"`, gateway.Notification{State: "paid", Amount: money(t, "1", "EUR")}},
	} {
		tc.want.Type, tc.want.User, tc.want.TradeID, tc.want.OrderID = "payment", user, trade, "o"
		n, err := gateway.ParseNotification([]byte(signText(tc.signed)+".{"+tc.data+","+whole+"}"), secret)
		tc.want.Rendering = n.Rendering
		if err != nil || n != tc.want || n.Rendering == "" {
			t.Errorf("%s: %+v, %v; want %+v", name, n, err, tc.want)
		}
	}
}

// A nested member that would replace one that we read is not merged over it:
// which of the two the sender meant cannot be told.
func TestMergedMembersReplaceNothingThatIsRead(t *testing.T) {
	signed := "state=paid&trade_id=" + trade
	body := signText(signed) + `.{"trade_id":"` + trade + `","state":"declined","3ds":{"state":"paid"}}`
	if n, err := gateway.ParseNotification([]byte(body), secret); !errors.Is(err, gateway.ErrSignature) {
		t.Errorf("%+v, %v", n, err)
	}
}

// signText signs a string that was written by hand.
func signText(text string) string {
	name, value, _ := strings.Cut(text, "=")
	return gateway.Sign(secret, map[string]string{name: value})
}
