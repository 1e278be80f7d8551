//go:build unix

package browser

import (
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestSupportDay is a day of support: an order is looked up, a parked
// trade released, a dead letter corrected, a case closed; then two of them act on
// one trade, a session ends and the connection is lost.
func TestSupportDay(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	w := startWorld(t)
	b := startBrowser(t, w.address)
	b.look(1280, 900, "light")
	b.login("operator", w.passwords["operator"])

	// An order is found by its number, with the key / from anywhere.
	b.open("/work")
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Code: "Slash", Text: "/"})
	b.do("searching", chromedp.KeyEvent("B-2004"), chromedp.KeyEvent("\r"))
	b.sees("h1", "needs a decision")
	b.click(element("#live-more .timeline li:nth-child(2) summary"))
	b.sees("#live-more pre", `"-4118"`)

	// It is released: reason, the gateway's answer, then the button.
	b.click(element(`a[href$="/release"]`))
	b.sees("h1", "Release: order B-2004")
	b.lacks(`input[name="token"]`)
	b.do("giving a reason", chromedp.SendKeys("#note", "the gateway is back"), chromedp.Click("main button.main"))
	b.sees(".asked", "authorized")
	b.do("releasing", chromedp.Click("main button.main"))
	b.sees(".notice.good", "Released")
	// The page of the trade moves by itself to what the worker does.
	b.click(element(`.row a[href^="/trades/"]`))
	b.sees("#live h1", "Charged 129.00")
	b.sees("#live-more", "the gateway is back")

	// The gateway is asked now, and nothing is written.
	b.open("/trades/demo-case-6")
	b.do("asking", chromedp.Click(".doing form button"))
	b.sees(".asked", "authorized")

	// A dead letter whose amount was a number is corrected.
	b.open("/dead-letters")
	b.click(row("amount has a wrong form"))
	b.sees("h1", "the amount has a wrong form")
	b.do("correcting it", chromedp.SetValue("#body", `{"trade_id":"demo-case-7","amount":"24.99","currency":"EUR","order_id":"B-2007"}`),
		chromedp.SendKeys("#note", "amount was a number"), chromedp.Click("#fix ~ form button.main"))
	b.sees("table", "24.99")
	b.do("publishing it", chromedp.Click("#fix ~ form button.main"))
	b.sees(".notice.good", "published to")
	b.open("/trades/demo-case-7")
	b.sees("#live h1", "Charged 24.99")

	// An order was returned before anything was captured: its trade is withdrawn.
	b.open("/trades/demo-case-3/withdraw")
	b.do("giving a reason", chromedp.SendKeys("#note", "returned"), chromedp.Click("main button.main"))
	b.sees(".asked", "pending")
	b.do("withdrawing", chromedp.Click("main button.main"))
	b.sees(".notice", "withdrawn")

	// Everything is on record under the name of the login.
	b.open("/acts")
	b.sees("table", "the gateway is back")
	b.sees("table", "amount was a number")
	b.sees("table", "operator")

	// Two act on one trade at once: one wins, the other gets the reason.
	other := startBrowser(t, w.address)
	other.login("approver", w.passwords["approver"])
	for _, one := range []*tab{b, other} {
		one.open("/trades/demo-case-2/dismiss")
		one.do("giving a reason", chromedp.SendKeys("#note", "refunded by hand"), chromedp.Click("main button.main"))
		one.sees(".asked", "refunded")
	}
	b.do("closing the case", chromedp.Click("main button.main"))
	b.sees(".notice.good", "closed")
	other.do("closing the case", chromedp.Click("main button.main"))
	other.sees("main", "changed it meanwhile")

	// A viewer is offered nothing.
	other.do("logging out", chromedp.Click(".who button"))
	other.sees("h1", "Log in")
	other.login("viewer", w.passwords["viewer"])
	other.open("/trades/demo-case-5")
	other.lacks(`a[href$="/release"]`)
	other.open("/trades/demo-case-5/release")
	other.sees("main", "needs the role operator")

	// A session that ends is said on the open page.
	b.open("/trades/demo-case-5")
	evaluate[bool](b, `fetch("/logout", {method: "POST"}).then(() => true) && true`)
	b.sees("#ended", "session has ended")

	// So is a lost connection, and what is typed stays.
	other.open("/today")
	other.do("typing", chromedp.SendKeys("#q", "A-10"))
	w.process.Kill()
	other.sees("#offline", "connection is lost")
	if typed := evaluate[string](other, `document.querySelector("#q").value`); typed != "A-10" {
		t.Errorf("typed %q, want A-10", typed)
	}
}
