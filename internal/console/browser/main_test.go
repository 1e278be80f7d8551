//go:build unix

// Package browser holds the console to its promises in a real browser: Chromium
// opens the pages of a demo's console, and of one whose records are an attack.
package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

var workerProgram string

func TestMain(m *testing.M) {
	programs := map[string]*string{processtest.Worker: &workerProgram}
	if !processtest.Verify() {
		programs = nil // no test here runs
	}
	processtest.Main(m, programs)
}

// world is a demo that keeps running, with its console.
type world struct {
	process   *processtest.Process
	address   string
	passwords map[string]string
}

func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{passwords: map[string]string{}}
	w.process = processtest.Start(t, "demo", nil, workerProgram, "demo", "--console", "--listen", "127.0.0.1:0", "--jobs", "80", "--seed", "3", "--faults", "calm")
	w.process.Says("It stays until", 1, processtest.Patience)
	w.address = w.process.Finds(`The console is at (http://\S+)`, processtest.Patience)
	for _, name := range []string{"viewer", "operator", "approver"} {
		w.passwords[name] = w.process.Finds(`log in as `+name+` +password (\w+)`, processtest.Patience)
	}
	return w
}

// tab is one browser with one tab.
type tab struct {
	t       *testing.T
	ctx     context.Context
	address string

	width, height int64 // of the window
}

// startBrowser starts a browser of its own for a test.
func startBrowser(t *testing.T, address string) *tab {
	t.Helper()
	program := processtest.Needs(t, "chromium", "apt-get install chromium")
	o := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-domain-reliability", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(processtest.Patience))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), o...)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		closeTab()
		stop()
	})
	b := &tab{t: t, ctx: ctx, address: address}
	// The first Run starts the browser, whose life is that of the context it gets.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	return b
}

// do runs actions, with a bound.
func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, processtest.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fatal(what, err)
	}
}

// fatal fails the test, with what the page shows.
func (b *tab) fatal(what string, err error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`)) // for the report only
	b.t.Fatalf("%s: %v\nthe page: %s", what, err, text)
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, processtest.Patience)
	defer cancel()
	for {
		v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
		switch {
		case err == nil:
			return v
		case !navigates(err) || ctx.Err() != nil:
			b.fatal(expression, err)
		}
	}
}

// navigates reports whether an expression was lost because its page was left: the
// next page gets the expression.
func navigates(err error) bool {
	return strings.Contains(err.Error(), "navigated or closed") || strings.Contains(err.Error(), "context was destroyed")
}

// until waits until an expression in the page is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(processtest.Patience); !evaluate[bool](b, expression); {
		if time.Now().After(deadline) {
			b.fatal("waiting for "+what, context.DeadlineExceeded)
		}
		select {
		case <-b.ctx.Done():
			b.t.Fatal(b.ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do("opening "+path, chromedp.Navigate(b.address+path), chromedp.WaitReady("main"))
}

// click clicks an element at once: a part of the page that updates itself may
// replace one between finding it and clicking it. script returns the element.
func (b *tab) click(script string) {
	b.t.Helper()
	b.until("an element to click: "+script, fmt.Sprintf(`(() => { const el = %s; if (el) el.click(); return !!el; })()`, script))
}

// row is the script for the link in the row of a table that has a text.
func row(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find((tr) => tr.innerText.includes(%q))?.querySelector("a")`, text)
}

func element(selector string) string { return fmt.Sprintf(`document.querySelector(%q)`, selector) }

// sees waits until an element shows a text.
func (b *tab) sees(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(`[...document.querySelectorAll(%q)].some((el) => el.innerText.includes(%q))`, selector, text))
}

// lacks fails the test if an element is there.
func (b *tab) lacks(selector string) {
	b.t.Helper()
	if n := evaluate[int](b, fmt.Sprintf(`document.querySelectorAll(%q).length`, selector)); n > 0 {
		b.t.Errorf("the page has %d of %s", n, selector)
	}
}

func (b *tab) login(name, password string) {
	b.t.Helper()
	b.open("/login")
	b.do("logging in", chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", password), chromedp.Click("main button.main"), chromedp.WaitReady("#big-q"))
}

// look sets the size of the window and the theme.
func (b *tab) look(width, height int64, theme string) {
	b.t.Helper()
	b.width, b.height = width, height
	b.size(width, height)
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
}

// call sends a command to the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, processtest.Patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.fatal(command.Method, err)
	}
	return result
}

// picture writes a screenshot of the whole page.
func (b *tab) picture(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, processtest.Patience)
	defer cancel()
	height := evaluate[int64](b, `Math.ceil(document.documentElement.scrollHeight)`)
	b.size(b.width, max(height, b.height))
	defer b.size(b.width, b.height)
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.fatal("taking a picture", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func fileName(path string) string {
	if name := strings.Trim(notInNames.ReplaceAllString(path, "-"), "-"); name != "" {
		return name
	}
	return "search"
}
