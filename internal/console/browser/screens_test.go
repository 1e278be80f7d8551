//go:build unix

package browser

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/capture-worker/capture-worker/internal/npmtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

var pictures = flag.String("pictures", "", "folder for the screenshots; none are kept without")

// screens are all pages, as an operator sees them.
var screens = []string{
	"/", "/trades/demo-3-000001", "/trades/demo-case-1", "/trades/demo-case-3", "/trades/demo-case-4/release", "/trades/demo-case-1/proof", "/work", "/work?kind=open",
	"/dead-letters", "/dead-letters/1", "/dead-letters/3", "/today", "/acts", "/nothing",
}

// violations are the rules of axe-core that a page breaks, and where.
const violations = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((found) =>
  found.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary).slice(0, 3).join("; ")).join("\n"))`

// accessible fails the test if axe-core finds a violation on the page.
func (b *tab) accessible(axe, what string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, processtest.Patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](axe+";0")); err != nil {
		b.fatal("loading axe-core", err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](violations, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatal("running axe-core", err)
	}
	if found != "" {
		b.t.Errorf("%s: %s", what, found)
	}
	// What is cut off cannot be read.
	if wide := evaluate[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth + 1`); wide {
		b.t.Errorf("%s: the page is wider than the window", what)
	}
}

// TestScreens opens every screen in both themes, on a desk and on a phone:
// axe-core finds no violation, and no page is wider than its window.
func TestScreens(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(npmtest.Install(t, "testdata/axe"), "node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	axe := string(text)
	w := startWorld(t)
	b := startBrowser(t, w.address)
	b.look(1280, 900, "light")
	b.open("/login")
	if *pictures != "" {
		b.picture(filepath.Join(*pictures, "login-desk-light.png"))
	}
	b.login("operator", w.passwords["operator"])
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desk", 1280, 900}, {"phone", 390, 844}} {
		for _, theme := range []string{"light", "dark"} {
			b.look(size.width, size.height, theme)
			for _, path := range screens {
				b.open(path)
				b.accessible(axe, path+" on a "+size.name+", "+theme)
				if *pictures != "" {
					b.picture(filepath.Join(*pictures, fileName(path)+"-"+size.name+"-"+theme+".png"))
				}
			}
			b.preview(axe, size.name+"-"+theme)
		}
	}
}

// preview looks at the pages that follow a form: the gateway's answer before an
// act, a corrected dead letter, results of a search.
func (b *tab) preview(axe, name string) {
	b.t.Helper()
	look := func(what string) {
		b.accessible(axe, what+" "+name)
		if *pictures != "" {
			b.picture(filepath.Join(*pictures, what+"-"+name+".png"))
		}
	}
	b.open("/trades/demo-case-5/release")
	b.do("asking", chromedp.SendKeys("#note", "the gateway is back"), chromedp.Click("main button.main"))
	b.sees(".asked", "authorized")
	look("release-preview")
	b.open("/dead-letters")
	b.click(row("amount has a wrong form"))
	b.sees("h1", "the amount has a wrong form")
	b.do("correcting it", chromedp.SetValue("#body", `{"trade_id":"demo-case-7","amount":"24.99","currency":"EUR","order_id":"B-2007"}`),
		chromedp.SendKeys("#note", "amount was a number"), chromedp.Click("#fix ~ form button.main"))
	b.sees("table", "24.99")
	look("dead-letter-preview")
	b.open("/")
	b.do("searching", chromedp.SendKeys("#big-q", "no-such-order"), chromedp.Click("main button.main"))
	b.sees("h2", "No trade is known")
	look("search-nothing")
}
