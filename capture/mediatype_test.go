package capture

import (
	"mime"
	"strings"
	"testing"
)

// FuzzMediaType checks that mediaType removes the same text as the standard
// library's parser.
func FuzzMediaType(f *testing.F) {
	for _, text := range []string{
		"", "application/json", "Application/JSON; charset=utf-8", " application/cloudevents+json ;x", "a/b; x=1; x=2", "text", ";", "a /b", "a/b;charset",
		"K/\u212a;\u0130", "\u2003a/b\u00a0; x", "a/b; filename*=utf-8''x; filename*0=y", "\xff/b", "a/b,c/d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := mediaType(text)
		want, _, err := mime.ParseMediaType(text)
		if err != nil || want == "" {
			want, _, _ = strings.Cut(text, ";")
			want = strings.ToLower(strings.TrimSpace(want))
		}
		if got != want {
			t.Errorf("media type of %q: got %q, want %q", text, got, want)
		}
	})
}
