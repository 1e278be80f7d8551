//go:build unix

package browser

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

var pictures = flag.String("pictures", "", "folder for the screenshots; none are kept without")

// screens are all pages, as an operator sees them.
var screens = []string{
	"/", "/trades/demo-3-000001", "/trades/demo-case-1", "/trades/demo-case-3", "/trades/demo-case-4/release", "/trades/demo-case-1/proof", "/work", "/work?kind=open",
	"/dead-letters", "/dead-letters/1", "/dead-letters/3", "/today", "/acts", "/nothing",
}

// TestScreens opens every screen in both themes, on a desk and on a phone.
func TestScreens(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
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
				if *pictures != "" {
					b.picture(filepath.Join(*pictures, fileName(path)+"-"+size.name+"-"+theme+".png"))
				}
			}
		}
	}
}
